package recovery

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The firmware of PVE's VMs finds the file system on the disk although the disk
// has no partition table. It also finds both files in the folder.
func TestFirmwareReadsTheDisk(t *testing.T) {
	t.Parallel()
	const code, vars = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil || testing.Short() {
		t.Skip("needs qemu-system-x86_64, and some seconds")
	}
	variables, err := os.ReadFile(vars)
	if err != nil {
		t.Skip("OVMF is not installed")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "vars.fd"), variables, 0o600); err != nil {
		t.Fatal(err)
	}
	disk, _ := onDisk(t, testImage(9, testSize))

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-machine", "q35,accel=tcg", "-m", "256", "-nodefaults", "-nographic", "-serial", "stdio", "-net", "none",
		"-drive", "if=pflash,format=raw,readonly=on,file="+code,
		"-drive", "if=pflash,format=raw,file="+filepath.Join(dir, "vars.fd"),
		"-drive", "if=none,id=disk,format=raw,file="+disk, "-device", "ide-hd,drive=disk")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serial := console{t: t, from: out, to: in}
	serial.until("Shell> ")
	listing := serial.ask(`dir FS0:\com.apple.recovery.boot`)
	for _, want := range []string{`328,914 +BaseSystem\.dmg`, `508 +BaseSystem\.chunklist`} {
		if !regexp.MustCompile(want).MatchString(listing) {
			t.Errorf("the firmware's shell shows no %s:\n%s", want, listing)
		}
	}
	serial.send("reset -s")
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A console is the serial line of a machine. The shell of the machine's
// firmware runs on it.
type console struct {
	t    *testing.T
	from io.Reader
	to   io.Writer
}

func (c console) send(line string) {
	if _, err := io.WriteString(c.to, line+"\r"); err != nil {
		c.t.Fatal(err)
	}
}

func (c console) ask(line string) string {
	c.send(line)
	return c.until("Shell> ")
}

// The method "until" reads up to a text. It removes the sequences that move a
// terminal's cursor.
func (c console) until(text string) string {
	c.t.Helper()
	var seen strings.Builder
	escapes := regexp.MustCompile(`\x1b\[[0-9;=?]*[a-zA-Z]`)
	for buffer := make([]byte, 1); ; {
		if _, err := c.from.Read(buffer); err != nil {
			c.t.Fatalf("the machine said no %q: %v\n%s", text, err, seen.String())
		}
		seen.Write(buffer)
		if buffer[0] == text[len(text)-1] {
			if plain := escapes.ReplaceAllString(seen.String(), ""); strings.HasSuffix(plain, text) {
				return plain
			}
		}
	}
}
