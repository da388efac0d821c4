package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/workstation/profile"
)

// embedded runs both stages on a node in this process, over real HTTPS. The
// node's clock runs fast, so that a person can watch the whole run.
func (s *show) embedded(ctx context.Context) error {
	fmt.Fprintln(s.out, "No PROXMOX_VE_ENDPOINT is set: this runs on a Proxmox VE node embedded in the program,\n"+
		"with its clock ten times as fast. Nothing outside is touched.")
	node, sim, err := connect.EmbeddedAsRoot(ctx, 10)
	if err != nil {
		return err
	}
	defer sim.Close()
	s.node, s.apply, s.fetch = node, true, ""
	s.mac.OSK = proxstation.NewSecret(strings.Repeat("x", 64)) // any key works, because the embedded node boots no macOS
	s.mac.Recovery = "local:import/recovery-sequoia.raw"
	dir, err := os.MkdirTemp("", "macos")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s.mac.OpenCore = filepath.Join(dir, "opencore-osx-proxmox-vm.iso") // this program makes the image, without OpenCore's files
	if err := os.WriteFile(s.mac.OpenCore, opencoretest.New(opencoretest.Config).GPT(16, 20<<20), 0o600); err != nil {
		return err
	}
	for _, act := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"Not on the NVIDIA card", s.onNVIDIA},
		{"The first stage: to install macOS, on a virtual display", func(ctx context.Context) error { return s.to(ctx, profile.MacInstall) }},
		{"macOS is installed", s.installed},
		{"The second stage: a small change", func(ctx context.Context) error { return s.to(ctx, profile.MacOnCard) }},
		{"The same again", func(ctx context.Context) error { return s.to(ctx, profile.MacOnCard) }},
		{"macOS starts on the iGPU", func(ctx context.Context) error { return s.start(ctx) }},
	} {
		s.title(act.title)
		if err := act.play(ctx); err != nil {
			return err
		}
	}
	return sim.Check()
}

func (s *show) to(ctx context.Context, stage profile.MacStage) error {
	s.mac.Stage = stage
	return s.stage(ctx)
}

// onNVIDIA shows the plan for the NVIDIA card, which macOS cannot use.
func (s *show) onNVIDIA(ctx context.Context) error {
	facts, err := s.node.Observe(ctx)
	if err != nil {
		return err
	}
	nvidia, err := find(facts, func(c gpu.Card) bool { return c.Model().Vendor == gpu.NVIDIA })
	if err != nil {
		return err
	}
	asked := *s
	asked.mac.Stage = profile.MacOnCard
	mac := asked.configured(facts, nvidia)
	if _, err := diff(mac, mac.VM(), facts); !errors.Is(err, gpu.ErrUnsupported) {
		return errors.Join(errors.New("macOS on an NVIDIA card has to be refused"), err)
	} else {
		fmt.Fprintln(s.out, "  refused:", err)
	}
	return nil
}

// installed stands for the hour in which a person installs macOS.
func (s *show) installed(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "  here a person erases the disk and installs macOS, on PVE's console")
	if err := s.node.Shutdown(ctx, s.mac.ID, 3*time.Minute); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  VM %d is shut down\n", s.mac.ID)
	return nil
}

func (s *show) start(ctx context.Context) error {
	if err := s.node.Start(ctx, s.mac.ID); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  VM %d runs\n", s.mac.ID)
	return nil
}
