package loki

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"

	"github.com/homeostat/homeostat/internal/logs"
)

const (
	// overhead is what an answer may have beside the lines: labels, times, statistics, and JSON's escapes.
	overhead = 1 << 20
	// smallPage is asked for where Loki allows no more.
	smallPage = 100
	// maxPages of one window, against a server that answers the same for ever.
	maxPages = 100
)

// Reader reads from one Loki. Make one with New. It is safe for concurrent use.
type Reader struct {
	opts   Options
	client *http.Client

	mu sync.Mutex
	// until is when Loki may be asked again, why what it was that made it rest, and page what it allows at once.
	until time.Time
	why   *Error
	page  int
}

// New returns a reader, or an error that names the option that is not allowed. Loki is not asked. Files of credentials are read
// with each request, so that they may change.
func New(o Options) (*Reader, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("loki: %w", err)
	}
	client, err := config.NewClientFromConfig(*o.HTTP, "loki", config.WithUserAgent("homeostat"))
	if err != nil {
		return nil, fmt.Errorf("loki: http client: %w", err)
	}
	return &Reader{opts: o, client: client, page: o.Page}, nil
}

// Close closes the connections that are idle.
func (r *Reader) Close() { r.client.CloseIdleConnections() }

// Window returns the lines that the query asks for, oldest first, also with Forward; none where the container wrote none. Where
// some pages were read and the next could not be, it returns what it has and the error. The error is an *Error.
func (r *Reader) Window(ctx context.Context, q logs.Query) ([]logs.Line, error) {
	if len(q.Replicas) == 0 || q.MaxLines < 1 || q.MaxBytes < 1 {
		return nil, &Error{Trouble: Refused, Message: "no query: it needs a replica and positive bounds"}
	}
	if err := r.resting(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	lines, err := r.read(ctx, q)
	if err == nil && len(lines) == 0 {
		err = r.missingLabels(ctx, q)
	}
	if trouble, ok := errors.AsType[*Error](err); ok {
		r.remember(trouble)
		return lines, trouble
	}
	return lines, nil
}

// read follows the pages. Lines of one nanosecond may be split by the end of a page, so that the next one begins with that
// nanosecond again and what is known of it is left out; more lines of one nanosecond than a page has are lost.
func (r *Reader) read(ctx context.Context, q logs.Query) ([]logs.Line, error) {
	var pages [][]entry
	from, to := q.From.UnixNano(), q.To.UnixNano()
	var edge int64
	var known map[string]int
	most := q.MaxLines // less where lines are so long that a page of them is too large
	for lines, size, n := 0, 0, 0; from < to && n < maxPages; n++ {
		limit := r.pageSize(min(q.MaxLines-lines, most) + len(known))
		page, err := r.ask(ctx, q, from, to, limit)
		if err != nil {
			if r.shrink(err) {
				continue
			}
			if errors.Is(err, errLarge) && limit > len(known)+1 {
				most = max((limit-len(known))/4, 1)
				continue
			}
			return collect(pages, q), err
		}
		fresh := without(page, edge, known)
		for _, e := range fresh {
			lines, size = lines+1, size+len(e.text)
		}
		pages = append(pages, fresh)
		if len(page) < limit || lines >= q.MaxLines || size >= q.MaxBytes {
			break
		}
		last := page[len(page)-1].at
		switch {
		case len(fresh) == 0 && q.Forward:
			from, known = last+1, nil
		case len(fresh) == 0:
			to, known = last, nil
		case q.Forward:
			from, edge, known = last, last, at(page, last)
		default:
			to, edge, known = last+1, last, at(page, last)
		}
	}
	return collect(pages, q), nil
}

// entry is one line and its time in nanoseconds.
type entry struct {
	at           int64
	stream, text string
}

// at returns the entries of that nanosecond and how often each is there.
func at(page []entry, ns int64) map[string]int {
	out := map[string]int{}
	for _, e := range page {
		if e.at == ns {
			out[e.stream+"\x00"+e.text]++
		}
	}
	return out
}

// without leaves out the entries of the edge that are known.
func without(page []entry, edge int64, known map[string]int) []entry {
	if len(known) == 0 {
		return page
	}
	var out []entry
	for _, e := range page {
		if key := e.stream + "\x00" + e.text; e.at == edge && known[key] > 0 {
			known[key]--
			continue
		}
		out = append(out, e)
	}
	return out
}

// collect puts the pages in order of time and cuts them to the bounds of the query.
func collect(pages [][]entry, q logs.Query) []logs.Line {
	all := slices.Concat(pages...) // in the direction of reading
	kept, size := 0, 0
	for kept < len(all) && kept < q.MaxLines && size+len(all[kept].text) <= q.MaxBytes {
		size += len(all[kept].text)
		kept++
	}
	all = all[:kept]
	if !q.Forward {
		slices.Reverse(all)
	}
	out := make([]logs.Line, len(all))
	for i, e := range all {
		out[i] = logs.Line{At: time.Unix(0, e.at).UTC(), Text: e.text}
	}
	return out
}

// ask fetches one page, in the direction of reading.
func (r *Reader) ask(ctx context.Context, q logs.Query, from, to int64, limit int) ([]entry, error) {
	direction := "backward"
	if q.Forward {
		direction = "forward"
	}
	body, err := r.get(ctx, "query_range", url.Values{
		"query": {selector(r.opts.Labels, q)}, "start": {strconv.FormatInt(from, 10)}, "end": {strconv.FormatInt(to, 10)},
		"limit": {strconv.Itoa(limit)}, "direction": {direction},
	}, int64(q.MaxBytes)*2+overhead)
	if err != nil {
		return nil, err
	}
	page, err := parse(body)
	if err != nil {
		return nil, &Error{Trouble: Broken, Status: http.StatusOK, Message: "the answer is none of Loki's: " + quote(err.Error()), Err: err}
	}
	// Of one nanosecond and stream the order is Loki's, and between streams there is none.
	slices.SortStableFunc(page, func(a, b entry) int {
		if q.Forward {
			return cmp.Compare(a.at, b.at)
		}
		return cmp.Compare(b.at, a.at)
	})
	return page, nil
}

// errLarge says that an answer is larger than what is read of one.
var errLarge = errors.New("too large")

// get makes one request below /loki/api/v1.
func (r *Reader) get(ctx context.Context, path string, v url.Values, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.opts.URL+"/loki/api/v1/"+path+"?"+v.Encode(), http.NoBody)
	if err != nil {
		return nil, &Error{Trouble: Refused, Message: "no request: " + quote(err.Error()), Err: err}
	}
	req.Header.Set("Accept", "application/json")
	if r.opts.Tenant != "" {
		req.Header.Set("X-Scope-OrgID", r.opts.Tenant)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, ofTransport(plain(err), r.opts.Timeout)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, ofStatus(res, body, r.opts.Now())
	case err != nil:
		return nil, ofTransport(err, r.opts.Timeout)
	case int64(len(body)) > limit:
		return nil, &Error{Trouble: Broken, Status: res.StatusCode, Message: fmt.Sprintf("the answer of Loki is larger than %d bytes", limit), Err: errLarge}
	}
	return body, nil
}

// plain takes the address off an error: the query is long, and says nothing to whoever reads the incident.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// parse reads the streams of an answer to query_range.
func parse(body []byte) ([]entry, error) {
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			Type   string `json:"resultType"`
			Result []struct {
				Stream map[string]string   `json:"stream"`
				Values [][]json.RawMessage `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" || answer.Data.Type != "streams" {
		return nil, fmt.Errorf("status %q with result type %q", answer.Status, answer.Data.Type)
	}
	var out []entry
	for _, s := range answer.Data.Result {
		stream, err := json.Marshal(s.Stream) // its keys are in order
		if err != nil {
			return nil, err
		}
		for _, v := range s.Values {
			e := entry{stream: string(stream)}
			var ns string
			if len(v) < 2 || json.Unmarshal(v[0], &ns) != nil || json.Unmarshal(v[1], &e.text) != nil {
				return nil, errors.New("a value that is no pair of time and line")
			}
			if e.at, err = strconv.ParseInt(ns, 10, 64); err != nil {
				return nil, fmt.Errorf("a time that is none: %q", ns)
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// missingLabels tells an empty window from labels that Loki does not know.
func (r *Reader) missingLabels(ctx context.Context, q logs.Query) error {
	body, err := r.get(ctx, "labels", url.Values{
		"start": {strconv.FormatInt(q.From.UnixNano(), 10)}, "end": {strconv.FormatInt(q.To.UnixNano(), 10)},
	}, overhead)
	if err != nil {
		return err
	}
	var answer struct {
		Data []string `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return &Error{Trouble: Broken, Status: http.StatusOK, Message: "the answer is none of Loki's: " + quote(err.Error()), Err: err}
	}
	if len(answer.Data) == 0 { // nothing at all was written then: no wrong name
		return nil
	}
	names := []string{r.opts.Labels.Namespace}
	if !r.opts.Labels.Structured {
		names = append(names, r.opts.Labels.Pod, r.opts.Labels.Container)
	}
	for _, name := range names {
		if !slices.Contains(answer.Data, name) {
			return &Error{Trouble: Unlabeled, Status: http.StatusOK, Message: fmt.Sprintf(
				"Loki has no label %s; it has %s: set logs.loki.preset or logs.loki.labels", name, quote(strings.Join(answer.Data, ", ")))}
		}
	}
	return nil
}
