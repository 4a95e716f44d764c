package app

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/asterinas/asterbot/internal/github"
)

// Metrics are what the App counts.
type Metrics struct {
	registry   *prometheus.Registry
	deliveries *prometheus.CounterVec
	answered   prometheus.Histogram
	reconciles *prometheus.HistogramVec
	writes     prometheus.Counter
	commands   *prometheus.CounterVec
	redelivers prometheus.Counter
	calls      *prometheus.CounterVec
	budget     *prometheus.GaugeVec

	mu   sync.Mutex
	left map[int64]int
}

// budget is what is left of an installation's rate budget.
type budget struct {
	Installation int64
	Remaining    int
}

// budgets are those of all installations, without their ids where they are not
// for everybody.
func (m *Metrics) budgets(ids bool) []budget {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []budget
	for _, id := range slices.Sorted(maps.Keys(m.left)) {
		b := budget{id, m.left[id]}
		if !ids {
			b.Installation = 0
		}
		out = append(out, b)
	}
	return out
}

// NewMetrics makes metrics of their own registry.
func NewMetrics() *Metrics {
	m := &Metrics{
		left:       map[int64]int{},
		registry:   prometheus.NewRegistry(),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "asterbot_deliveries_total", Help: "Webhook deliveries by event and answer."}, []string{"event", "status"}),
		answered:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "asterbot_delivery_seconds", Help: "Time to answer a delivery.", Buckets: prometheus.ExponentialBuckets(0.0001, 3, 12)}),
		reconciles: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "asterbot_reconcile_seconds", Help: "Time to make one pull request right.", Buckets: prometheus.ExponentialBuckets(0.005, 3, 11)}, []string{"result"}),
		writes:     prometheus.NewCounter(prometheus.CounterOpts{Name: "asterbot_check_run_writes_total", Help: "Check runs created or updated."}),
		commands:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "asterbot_commands_total", Help: "Comments with commands by outcome."}, []string{"outcome"}),
		redelivers: prometheus.NewCounter(prometheus.CounterOpts{Name: "asterbot_redeliveries_asked_total", Help: "Missed deliveries that GitHub was asked for again."}),
		calls:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "asterbot_api_calls_total", Help: "Calls of GitHub's API by result."}, []string{"method", "result"}),
		budget:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "asterbot_rate_remaining", Help: "What is left of an installation's hourly budget."}, []string{"installation"}),
	}
	m.registry.MustRegister(m.deliveries, m.answered, m.reconciles, m.writes, m.commands, m.redelivers, m.calls, m.budget, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts a call of GitHub's API; it is github.Options.Observe.
func (m *Metrics) Observe(c github.Call) {
	result := "error"
	if c.Status != 0 {
		result = strconv.Itoa(c.Status)
	}
	m.calls.WithLabelValues(c.Method, result).Inc()
	if c.Limit > 0 && c.Installation != 0 {
		m.budget.WithLabelValues(strconv.FormatInt(c.Installation, 10)).Set(float64(c.Remaining))
		m.mu.Lock()
		m.left[c.Installation] = c.Remaining
		m.mu.Unlock()
	}
}

// Handler serves them.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) watch(a *App) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "asterbot_queue_waiting", Help: "Pull requests that wait to be looked at."}, func() float64 { n, _ := a.q.len(); return float64(n) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "asterbot_queue_active", Help: "Pull requests that are being looked at."}, func() float64 { _, n := a.q.len(); return float64(n) }),
	)
}

func (m *Metrics) delivered(event string, status int, d time.Duration) {
	m.deliveries.WithLabelValues(event, strconv.Itoa(status)).Inc()
	m.answered.Observe(d.Seconds())
}

func (m *Metrics) reconciled(d time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.reconciles.WithLabelValues(result).Observe(d.Seconds())
}

func (m *Metrics) published(n int)          { m.writes.Add(float64(n)) }
func (m *Metrics) commanded(outcome string) { m.commands.WithLabelValues(outcome).Inc() }
func (m *Metrics) swept()                   { m.redelivers.Inc() }
