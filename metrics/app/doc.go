// Package app is the source of an application's own metrics: it scrapes the metrics page that a pod serves in the format
// of Prometheus (text or OpenMetrics), once a second as long as somebody asks for it, and answers two questions from it.
//
// What CPU the container uses, from process_cpu_seconds_total. The kubelet's readings are 10 to 15 s apart and a rate
// over them says what was true half a minute ago; this counter is read when the page is, so that a rate over 3 s is to be
// had. It advances in steps of 10 ms (USER_HZ is 100), of user and system time each, so a rate over an interval in which
// it grew by g is off by at most 20 ms / g. Therefore the interval is 3 s where the counter grew by at least 200 ms in
// it, and else as long as that takes, but 15 s at most: the error is at most a tenth of the usage, which is the
// autoscaler's default tolerance, down to 14 thousandths of a core, and below that at most 1.4 thousandths. A container
// that requests 100m and uses 40m is judged over 5 s. What grows is seen after 3 s at once; what falls as late as the
// kubelet shows it, at worst.
//
// What value any other metric has: a gauge as it is, a counter as its rate per second, the sum over the series of that
// name whose labels match a selector. Counters are the families of type counter, the _sum, _count and _bucket of
// histograms and summaries, and names that end in _total where the page gives no type.
//
// Limits. The counter is that of one process: what its children use does not count in it. [Scraper.Fresher] compares it
// with the kubelet's reading of the whole container over the same interval, and where the page shows clearly less it is
// not used. The resident memory of the process is no working set and is not taken for one. Timestamps on the page are
// not read: a value counts as of its scrape. The format has no units, so a metric's thousandths are those of whatever it
// counts. A page over HTTPS is read whoever signed its certificate, as the kubelet does with probes: pods have no names
// that a certificate could be for. Redirects are not followed, and no credentials are sent.
package app
