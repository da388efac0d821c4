package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// describeAll returns a host for each node. It takes the hosts in turn from a
// list of kinds and files. Hosts with the same name get numbers.
func describeAll(list string, nodes int) ([]pvetest.Host, error) {
	names := strings.Split(list, ",")
	nodes = max(nodes, len(names))
	var hosts []pvetest.Host
	for i := range nodes {
		host, err := describe(names[i%len(names)])
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, host)
	}
	used, taken := map[string]int{}, map[string]bool{}
	for _, host := range hosts {
		used[host.Name]++
		taken[host.Name] = true
	}
	for i, host := range hosts {
		if used[host.Name] == 1 {
			continue
		}
		number := 1
		for taken[host.Name+strconv.Itoa(number)] {
			number++
		}
		hosts[i] = rename(host, host.Name+strconv.Itoa(number))
		taken[hosts[i].Name] = true
	}
	return hosts, nil
}

// rename changes the name of a host, and also the name in its resource
// mappings.
func rename(host pvetest.Host, name string) pvetest.Host {
	mappings := slices.Clone(host.Mappings)
	for i, m := range mappings {
		mappings[i].Map = nil
		for _, entry := range m.Map {
			mappings[i].Map = append(mappings[i].Map, strings.Replace(entry, "node="+host.Name+",", "node="+name+",", 1))
		}
	}
	host.Name, host.Mappings = name, mappings
	return host
}

// listenAll opens a port for each node. The first node gets the port of the
// address, and the other nodes get the following ports. If the port is 0, all
// nodes get free ports.
func listenAll(ctx context.Context, address string, nodes int) (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, listener := range listeners {
				_ = listener.Close() // closing cannot lose anything, because nothing was served
			}
		}
	}()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("-listen: %w", err)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", text)
	if err != nil {
		return nil, fmt.Errorf("-listen: %w", err)
	}
	for i := range nodes {
		next := port
		if port != 0 {
			next += i
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(next)))
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}
