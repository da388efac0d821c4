package opencore

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
)

// mostAlike is the number of findings that a rule reports one by one. One more
// finding reports all others. Only a broken config.plist has so many.
const mostAlike = 20

// judgeImage judges the image as a whole: faults that would keep a changed copy
// from starting, and the age of OpenCore.
func (j *judge) judgeImage() {
	if j.image.Vault == proxstation.Yes {
		j.say("opencore.vault", proxstation.Blocker, folder+"/vault.plist, or a key in OpenCore.efi", "the configuration is signed: OpenCore stops if one byte of it changes",
			"take an image without a vault, or sign the changed folder with OpenCore's sign.command", manual+", Vault")
	} else {
		j.want("opencore.vault-mode", proxstation.Blocker, Key{"Misc", "Security", "Vault"}, TextValue("Optional"),
			"with another value OpenCore wants a signed configuration, and this one has no signature", manual+", Vault")
	}
	if j.image.Damage != "" {
		j.say("opencore.file-system", proxstation.Blocker, j.image.Layout.String()+": "+j.image.Damage, "a change of one file could damage another file, so no copy of the image is made",
			"take the image anew from where it came, or mend a copy of the file system with fsck.fat -a", "Microsoft FAT specification")
	}
	for _, n := range j.image.Layout.Others {
		j.say("opencore.other", proxstation.Warning, fmt.Sprintf("partition %d holds an OpenCore too; partition %d was read", n, j.image.Layout.Partition), "the firmware may start the other OpenCore, which nobody judged and no plan changes",
			fmt.Sprintf("take an image with one OpenCore, or delete the folder EFI of partition %d in a copy of the image", n), "UEFI specification, section 3.5.1.1")
	}
	if j.image.Layout.Damage != "" {
		j.say("opencore.partition-table", proxstation.Warning, j.image.Layout.Damage, "firmware may not find the partition", "take the image anew from where it came; an import to LVM-thin was seen to damage the first MiB", igpuPassthru)
	}
	if l := j.image.Layout; l.Sector > 512 && !strings.Contains(j.machine.VM["args"], fmt.Sprintf("logical_block_size=%d", l.Sector)) {
		j.say("opencore.sectors", proxstation.Blocker, fmt.Sprintf("the partition table counts in sectors of %d bytes", l.Sector), "drives of a VM have sectors of 512 bytes, and the firmware finds no partition table in them",
			fmt.Sprintf("take the file system out, which needs no partition table: dd if=IMAGE of=opencore.raw bs=1M iflag=skip_bytes,count_bytes skip=%d count=%d", l.Start, l.Size), "UEFI specification, GUID Partition Table; QEMU, logical_block_size")
	}
	for i, key := range j.image.Twice {
		if i == mostAlike {
			key = fmt.Sprintf("%s and %d other keys", key, len(j.image.Twice)-i-1)
		} else if i > mostAlike {
			break
		}
		j.say("opencore.duplicate-key", proxstation.Warning, configFile+": "+key+" is there more than once", "nobody knows which of the two OpenCore takes", "delete all but one of them", manual+", Terminology")
	}
	j.judgeVersion()
	j.judgeFiles()
	j.judgeDrivers()
}

// judgeVersion compares OpenCore's version with the oldest version that the
// release needs.
func (j *judge) judgeVersion() {
	var need Version
	severity, why := proxstation.Warning, ""
	switch j.machine.Release {
	case gpu.MacOSTahoe:
		need, severity, why = Version{1, 0, 5}, proxstation.Blocker, "before 1.0.5 OpenCore puts no kernel extension into macOS 26"
	case gpu.MacOSSequoia:
		need, why = Version{1, 0, 2}, "before 1.0.2 OpenCore's patches of macOS 15's kernel were incomplete"
	default:
		return
	}
	if j.image.Version == (Version{}) {
		j.say("opencore.version", proxstation.Warning, folder+"/OpenCore.efi does not tell its version", fmt.Sprintf("%s wants OpenCore %s or newer", j.machine.Release, need),
			"once macOS runs: nvram 4D1FDA02-38C7-4A6A-9CC6-4BCCA8B30102:opencore-version", changelog)
	} else if j.image.Version.Before(need) {
		j.say("opencore.version", severity, fmt.Sprintf("%s/OpenCore.efi is OpenCore %s", folder, j.image.Version), why, fmt.Sprintf("take an image with OpenCore %s or newer", need), changelog)
	}
	if !j.image.Version.Before(Version{1, 0, 4}) && j.get("Booter", "Quirks", "ClearTaskSwitchBit").Kind == Absent {
		j.say("opencore.schema", proxstation.Info, fmt.Sprintf("OpenCore %s with a config.plist of before 1.0.4: Booter -> Quirks -> ClearTaskSwitchBit is absent", j.image.Version),
			"for each key that is missing, OpenCore takes its safest value and shows a warning", "compare with ocvalidate of that version, which is in OpenCore's release", changelog)
	}
}

// judgeDrivers looks for the drivers that OpenCore needs to start macOS.
func (j *judge) judgeDrivers() {
	hfs := false
	for _, d := range j.image.Drivers {
		hfs = hfs || d.Enabled && (d.Name == "OpenHfsPlus.efi" || d.Name == "HfsPlus.efi" || d.Name == "HfsPlusLegacy.efi" || d.Name == "VBoxHfs.efi")
	}
	if j.machine.recovery() && !hfs {
		j.say("opencore.hfs", proxstation.Blocker, "no driver for HFS+ in "+folder+"/Drivers is switched on", "the recovery system's image is HFS+: OpenCore's menu does not have it",
			"add OpenHfsPlus.efi, which is in OpenCore's release, to "+folder+"/Drivers and to UEFI -> Drivers", manual+", Drivers")
	}
	for i, item := range j.get("UEFI", "Drivers").Items {
		if item.Value.Get("Path").Text == "OpenRuntime.efi" {
			j.want("opencore.runtime", proxstation.Blocker, Key{"UEFI", "Drivers", fmt.Sprint(i), "Enabled"}, BoolValue(true), "the quirks for the firmware's memory need OpenRuntime", manual+", Drivers")
		}
	}
	j.want("opencore.apfs", proxstation.Blocker, Key{"UEFI", "APFS", "EnableJumpstart"}, BoolValue(true), "without it OpenCore loads no driver for APFS, and sees no installed macOS", manual+", APFS")
	if j.machine.Release < gpu.MacOSBigSur {
		for _, name := range []string{"MinDate", "MinVersion"} {
			if n, known := j.get("UEFI", "APFS", name).Int(); !known || n == 0 {
				j.want("opencore.apfs-old", proxstation.Blocker, Key{"UEFI", "APFS", name}, IntegerValue(-1), "with 0 OpenCore refuses the drivers for APFS from before Big Sur", manual+", APFS")
			}
		}
	}
}
