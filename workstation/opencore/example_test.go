package opencore_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/workstation/opencore"
)

// Read tells what an image holds.
func ExampleRead() {
	disk := opencoretest.New(opencoretest.Config).GPT(16, 20<<20)
	image, err := opencore.Read(disk, int64(len(disk)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(image.Layout)
	fmt.Println("OpenCore", image.Version)
	fmt.Println(image.Config.Get("PlatformInfo", "Generic", "SystemProductName"))
	for _, kext := range image.Kexts {
		fmt.Println(kext.ID, kext.Version)
	}
	// Output:
	// FAT16 in partition 1 of GPT
	// OpenCore 1.0.5
	// iMacPro1,1
	// as.vit9696.Lilu 1.7.1
	// as.vit9696.VirtualSMC 1.3.7
	// as.vit9696.WhateverGreen 1.7.0
}

// A file that is something else is an error that says what it is.
func ExampleImageError() {
	_, err := opencore.Read(strings.NewReader("QFI\xfb....."), 9)
	var problem *opencore.ImageError
	if errors.As(err, &problem) {
		fmt.Println(problem.Found + ": " + problem.Why)
	}
	// Output: a qcow2 image: convert it: qemu-img convert -O raw IMAGE.qcow2 IMAGE.raw
}
