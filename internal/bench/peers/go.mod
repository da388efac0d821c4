module github.com/proxstation/proxstation/internal/bench/peers

go 1.26.0

replace github.com/proxstation/proxstation => ../../..

require (
	github.com/NVIDIA/go-nvlib v0.13.0
	github.com/jaypipes/ghw v0.27.0
	github.com/luthermonson/go-proxmox v0.8.2
	github.com/proxstation/proxstation v0.0.0-00010101000000-000000000000
)

require (
	github.com/buger/goterm v1.0.4 // indirect
	github.com/diskfs/go-diskfs v1.9.4 // indirect
	github.com/djherbis/times v1.6.0 // indirect
	github.com/go-ole/go-ole v1.2.6 // indirect
	github.com/gorilla/websocket v1.4.2 // indirect
	github.com/jaypipes/pcidb v1.1.1 // indirect
	github.com/jinzhu/copier v0.3.4 // indirect
	github.com/magefile/mage v1.14.0 // indirect
	github.com/yusufpapurcu/wmi v1.2.4 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
	howett.net/plist v1.0.2-0.20250314012144-ee69052608d9 // indirect
)
