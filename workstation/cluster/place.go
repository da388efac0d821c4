package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation"
)

// A Placement says on which node a VM is or will be, and why there.
type Placement struct {
	VMID int
	Name string
	// Node is the chosen node. For a VM that exists, it is the node where the
	// VM is.
	Node string
	// Exists says that the VM exists already.
	Exists bool
	// Why explains the choice.
	Why string
	// Others says why the other nodes were not chosen, in the order of their
	// names. It is empty for a VM that exists or whose Needs name a node.
	Others []NodeReason
	// VM is the VM as it is planned for the node.
	VM workstation.VM
}

// A NodeReason says why a node was not chosen.
type NodeReason struct {
	Node string
	// Refused says that the node cannot have the VM. If it is false, the VM
	// would work on the node, but the chosen node is better.
	Refused bool
	Why     string
}

// String returns the placement in a few lines: first the chosen node with the
// reason, then the other nodes.
func (p Placement) String() string {
	var b strings.Builder
	verb := "goes to"
	if p.Exists {
		verb = "stays on"
	}
	b.WriteString(printable.Sprintf("VM %d %s %s node %s: %s\n", p.VMID, p.Name, verb, p.Node, p.Why))
	writeReasons(&b, p.Others)
	return b.String()
}

func writeReasons(b *strings.Builder, reasons []NodeReason) {
	for _, o := range reasons {
		verdict := "not as good"
		if o.Refused {
			verdict = "refused"
		}
		b.WriteString(printable.Sprintf("    %s (%s): %s\n", o.Node, verdict, o.Why))
	}
}

// ErrNoPlace reports that no node meets the needs of a workstation.
var ErrNoPlace = errors.New("no node will do")

// A NoPlaceError explains, node by node, why a workstation found no place. It
// matches [ErrNoPlace].
type NoPlaceError struct {
	VMID    int
	Name    string
	Refused []NodeReason
}

// Error implements error.
func (e *NoPlaceError) Error() string {
	var b strings.Builder
	b.WriteString(printable.Sprintf("cluster: no node for VM %d %s", e.VMID, e.Name))
	for _, o := range e.Refused {
		b.WriteString(printable.Sprintf("\n  %s: %s", o.Node, o.Why))
	}
	return b.String()
}

// Is reports whether target is [ErrNoPlace].
func (e *NoPlaceError) Is(target error) bool { return target == ErrNoPlace }

// Place chooses a node for each workstation of the Spec. It is pure: the same
// input gives the same answer. VMs that exist stay where they are. For every
// other VM, Place finds the nodes on which the VM could be made, by the rules of
// [workstation.Diff] and [gpu.Ready]. These rules concern the card, storages by
// tier and space, memory, processors, bridges, images, and privileges. If the VM
// could be made on several nodes, Place compares these nodes by the questions of
// this list. The first question to which two nodes give different answers
// decides between them:
//
//  1. Is there memory for the VM beside the VMs that run now?
//  2. How many other VMs have the same card? Fewer are better.
//  3. How many disks of the VM are on the tier that they prefer? More are
//     better.
//  4. How many images have to be brought to the node? Fewer are better.
//  5. How many warnings does the VM cause? Fewer are better.
//  6. How much memory is available? More is better.
//  7. Which name comes first in the alphabet?
//
// The error joins a [NoPlaceError] for each VM that finds no node, and the
// errors of [workstation.Diff] for VMs that exist.
func Place(spec Spec, facts Facts) ([]Placement, error) {
	p := placed(spec, facts)
	problems := slices.Clone(p.problems)
	for _, unsure := range p.unsure {
		problems = append(problems, unsure)
	}
	return p.placements, errors.Join(problems...)
}

func placed(spec Spec, facts Facts) *placing {
	p := &placing{spec: spec, all: facts, mapper: mapCards(spec.Cards, facts), nodes: map[string]*nodePlan{}}
	p.problems, p.findings = p.mapper.problems, p.mapper.findings
	if len(p.problems) > 0 {
		return p // wrong mappings would lead to wrong reasons below
	}
	if p.twice(); len(p.problems) > 0 {
		return p
	}
	for _, node := range facts.readable() {
		node.Mappings = p.mapper.after
		p.nodes[node.Node] = &nodePlan{facts: node, claims: node.Claims()}
	}
	for _, existing := range []bool{true, false} { // VMs that exist come first, so that they keep their room
		for _, needs := range spec.Workstations {
			if _, exists := facts.home(needs.VM.ID); exists == existing {
				p.place(needs)
			}
		}
	}
	return p
}

// Reports VMIDs that occur twice in the Spec.
func (p *placing) twice() {
	seen := map[int]string{}
	for _, needs := range p.spec.Workstations {
		if other, twice := seen[needs.VM.ID]; twice {
			p.problems = append(p.problems, &workstation.InvalidError{VMID: needs.VM.ID, Field: "vmid", Value: fmt.Sprint(needs.VM.ID), Why: fmt.Sprintf("%s and %s have it in the Spec", other, needs.VM.Name)})
		}
		seen[needs.VM.ID] = needs.VM.Name
	}
}

// A placing holds the data of one call of Place.
type placing struct {
	spec       Spec
	all        Facts
	mapper     *mapper
	nodes      map[string]*nodePlan // only nodes that were read
	placements []Placement
	brings     []BringImage
	findings   []proxstation.Finding
	problems   []error
	// The field unsure holds VMs that got no node. A node that was not read
	// might take them.
	unsure []*NoPlaceError
}

// A nodePlan holds the VMs that were placed on a node so far.
type nodePlan struct {
	facts  workstation.Facts // as they will be with the mappings and images of the plan
	vms    []workstation.VM
	claims []gpu.Claim // the devices that the existing VMs of the node take
	// The field findings holds the findings of a plan with these VMs.
	findings []proxstation.Finding
}

// Finds the node for one workstation.
func (p *placing) place(needs Needs) {
	if home, exists := p.all.home(needs.VM.ID); exists {
		p.stay(needs, home)
		return
	}
	if taken := p.taken(needs.VM); taken != nil {
		p.problems = append(p.problems, taken)
		return
	}
	var good []candidate
	var refused []NodeReason
	var unread []NodeFacts
	candidates := p.candidates(needs)
	for _, c := range candidates {
		if node, _ := p.all.Node(c.node); node.away() != "" {
			unread = append(unread, node)
		}
		if c.refused != "" {
			refused = append(refused, NodeReason{Node: c.node, Refused: true, Why: c.refused})
			continue
		}
		good = append(good, c)
	}
	if len(candidates) == 0 && needs.Node != "" {
		refused = []NodeReason{{Node: needs.Node, Refused: true, Why: "the cluster has no such node"}}
	}
	if len(good) == 0 {
		p.noPlace(&NoPlaceError{VMID: needs.VM.ID, Name: needs.VM.Name, Refused: refused}, unread)
		return
	}
	slices.SortStableFunc(good, candidate.compare)
	why, others := explain(needs, good)
	others = append(others, refused...)
	slices.SortFunc(others, func(a, b NodeReason) int { return strings.Compare(a.Node, b.Node) })
	p.choose(good[0], Placement{Why: why, Others: others})
}

// Returns the judged candidates for a new VM. It judges several candidates at
// the same time, but it calls Needs.On for one node after the other.
func (p *placing) candidates(needs Needs) []candidate {
	var all []candidate
	for _, node := range p.all.Nodes {
		if needs.Node == "" || needs.Node == node.Name {
			all = append(all, p.candidate(needs, node))
		}
	}
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() { p.judge(&all[i]) })
	}
	group.Wait()
	return all
}

func (p *placing) choose(c candidate, placement Placement) {
	node := p.nodes[c.node]
	node.vms, node.findings = append(node.vms, c.vm), c.findings
	node.facts = brought(node.facts, c.images.brings)
	p.brings = append(p.brings, c.images.brings...)
	placement.VMID, placement.Name, placement.Node, placement.VM = c.vm.ID, c.vm.Name, c.node, c.vm
	if len(c.images.moved) > 0 {
		placement.Why += "; " + strings.Join(c.images.moved, "; ")
	}
	p.placements = append(p.placements, placement)
}

// Returns an error if a container has the VMID.
func (p *placing) taken(vm workstation.VM) error {
	for _, node := range p.all.readable() {
		if other, taken := node.Others[vm.ID]; taken {
			return fmt.Errorf("cluster: %w", &workstation.TakenError{VMID: vm.ID, Want: vm.Name, Have: other})
		}
	}
	for _, g := range p.all.Guests { // these include the guests of nodes that were not read
		if g.VMID == vm.ID && g.Container {
			return fmt.Errorf("cluster: %w", &workstation.TakenError{VMID: vm.ID, Want: vm.Name, Have: fmt.Sprintf("container %s on node %s", g.Name, g.Node)})
		}
	}
	return nil
}
