package kube

import (
	"context"
	"sync"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// budgetEvery is how often the stored budget of the cluster is read anew: by then who leads next knows what the last one spent.
// What is charged here is known at once, and a charge itself compares with what is stored.
const budgetEvery = 30 * time.Second

// clusterBudget is what is known of the budget of the cluster. Outside a cluster, where there is no namespace to store it in, it
// is all there is.
type clusterBudget struct {
	mu    sync.Mutex
	spent []write.Spending
}

// ClusterSpent returns the times of the actions charged to the budget of the cluster, oldest first.
func (p *Platform) ClusterSpent() []time.Time {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	out := make([]time.Time, 0, len(p.budget.spent))
	for _, s := range p.budget.spent {
		out = append(out, s.At)
	}
	return out
}

// ChargeCluster takes one action from the budget of the cluster, which is stored in a ConfigMap of the controller's namespace. A
// budget without actions bounds nothing, and nothing is charged to it.
func (p *Platform) ChargeCluster(ctx context.Context, b healing.ClusterBudget, remediationID string, now time.Time) error {
	if b.Actions <= 0 {
		return nil
	}
	if p.opts.SelfNamespace == "" {
		p.budget.mu.Lock()
		defer p.budget.mu.Unlock()
		spent, _, err := write.Spend(p.budget.spent, b, remediationID, now)
		if err == nil {
			p.budget.spent = spent
		}
		return err //nolint:wrapcheck // it names the budget
	}
	spent, err := p.writer.ChargeCluster(ctx, p.opts.SelfNamespace, b, remediationID, now)
	if spent != nil {
		p.budget.know(spent)
	}
	return err //nolint:wrapcheck // it names the budget
}

func (b *clusterBudget) know(spent []write.Spending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = spent
}

// followBudget reads the stored budget now and every budgetEvery, until ctx ends. What is wrong with it is said once.
func (p *Platform) followBudget(ctx context.Context) {
	if p.opts.SelfNamespace == "" {
		return
	}
	tick := time.NewTicker(budgetEvery)
	defer tick.Stop()
	said := ""
	for {
		spent, err := p.writer.ClusterSpent(ctx, p.opts.SelfNamespace)
		switch {
		case err == nil:
			p.budget.know(spent)
			said = ""
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			p.log.WarnContext(ctx, "budget of the cluster not read, so that nothing can be charged to it", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
