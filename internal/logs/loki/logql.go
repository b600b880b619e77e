package loki

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/internal/logs"
)

// selector writes the LogQL of the query. Names of Kubernetes need no escapes; strconv.Quote writes those of any other as LogQL
// reads them, which has Go's rules.
func selector(l Labels, q logs.Query) string {
	pod := "=" + strconv.Quote(q.Replicas[0])
	if len(q.Replicas) > 1 {
		quoted := make([]string, len(q.Replicas))
		for i, name := range q.Replicas {
			quoted[i] = regexp.QuoteMeta(name)
		}
		pod = "=~" + strconv.Quote(strings.Join(quoted, "|"))
	}
	namespace := l.Namespace + "=" + strconv.Quote(q.Namespace)
	pod, container := l.Pod+pod, l.Container+"="+strconv.Quote(q.Container)
	if l.Structured {
		return "{" + namespace + "} | " + pod + " | " + container
	}
	return "{" + namespace + "," + pod + "," + container + "}"
}
