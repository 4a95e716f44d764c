package testvm

import (
	"context"
	"fmt"
	"time"
)

// Stop asks the guest to power off and waits until it did. A guest that does
// not is ended, and its outcome is shutdown.
func (g *Guest) Stop(ctx context.Context) Ending {
	p := g.Machine.Profile
	limit := g.Machine.Accel.scale(p.Stop)
	g.mu.Lock()
	session := g.session
	g.mu.Unlock()
	if session != nil && p.PowerOff != "" {
		session.line(p.PowerOff)
	} else {
		_ = g.QMP.Do(ctx, "system_powerdown", nil, nil) // the deadline decides
	}
	select {
	case <-g.done:
	case <-ctx.Done():
		g.halt(&cause{Infra, "cancelled", "the run was cancelled: " + ctx.Err().Error()})
	case <-time.After(limit):
		g.gatherEvidence()
		g.halt(&cause{Shutdown, "no power-off", fmt.Sprintf("the guest did not power off within %.0f s of being asked to", limit.Seconds())})
	}
	return g.Wait()
}
