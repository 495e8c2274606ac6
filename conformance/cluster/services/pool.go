package services

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
)

// pool hands out the addresses of load balancers. The first half of its range is handed out in turn; all of it can be
// asked for by name. An address given back is used again only when its turn comes, because clients may remember it.
type pool struct {
	whole  netip.Prefix
	free   netip.Prefix
	last   netip.Addr
	owners map[netip.Addr]types.UID
	owned  map[types.UID]netip.Addr
}

func newPool(addressRange string) *pool {
	whole := netip.MustParsePrefix(addressRange)
	return &pool{
		whole: whole, free: netip.PrefixFrom(whole.Addr(), whole.Bits()+1), last: whole.Addr(),
		owners: map[netip.Addr]types.UID{}, owned: map[types.UID]netip.Addr{},
	}
}

// claim gives the owner its address: the one asked for, or else the one it has, or else the next free one.
func (p *pool) claim(owner types.UID, asked string) (netip.Addr, error) {
	current, has := p.owned[owner]
	if asked == "" {
		if has {
			return current, nil
		}
		return p.next(owner)
	}
	address, err := netip.ParseAddr(asked)
	if err != nil || !p.whole.Contains(address) {
		return netip.Addr{}, fmt.Errorf("address %s is not in the range of the load balancers, %s", asked, p.whole)
	}
	if other, taken := p.owners[address]; taken && other != owner {
		return netip.Addr{}, fmt.Errorf("address %s belongs to another Service", asked)
	}
	if has && current != address {
		p.release(owner)
	}
	p.own(owner, address)
	return address, nil
}

func (p *pool) next(owner types.UID) (netip.Addr, error) {
	for candidate := p.last.Next(); ; candidate = candidate.Next() {
		if !p.free.Contains(candidate) {
			candidate = p.free.Addr().Next()
		}
		if _, taken := p.owners[candidate]; !taken {
			p.last = candidate
			p.own(owner, candidate)
			return candidate, nil
		}
		if candidate == p.last {
			return netip.Addr{}, fmt.Errorf("no address of %s is left", p.free)
		}
	}
}

func (p *pool) own(owner types.UID, address netip.Addr) {
	p.owners[address], p.owned[owner] = owner, address
}

func (p *pool) release(owner types.UID) {
	delete(p.owners, p.owned[owner])
	delete(p.owned, owner)
}
