package spec

import (
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxName leaves room for the suffix of the replicas' names.
const maxName = 40

// Parse reads one Service document. It is strict: an unknown or repeated field, a wrong type and a value out of range
// are errors that name the line, the field, the value and what is allowed. Lines are those of the file that the document
// was read from.
func Parse(document *yaml.Node) (Service, error) {
	s := Default()
	n := document
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	given, err := object(n, "", map[string]field{
		"apiVersion": oneOf(APIVersion),
		"kind":       oneOf(Kind),
		"metadata": nested(map[string]field{
			"name":   s.readName,
			"labels": labels(&s.Labels),
		}, "name"),
		"spec": nested(map[string]field{
			"command":                list(&s.Command),
			"workingDir":             text(&s.WorkingDir),
			"env":                    s.readEnv,
			"replicas":               number(&s.Replicas, 0, MaxReplicas),
			"listen":                 address(&s.Listen),
			"readinessProbe":         s.Readiness.fields(),
			"livenessProbe":          s.Liveness.fields(),
			"resources":              s.resources(),
			"terminationGracePeriod": duration(&s.TerminationGracePeriod, 0, 10*time.Minute),
			"restart":                s.Restart.fields(),
			"minAvailable":           s.readMinAvailable,
		}, "command"),
	})
	if err == nil {
		err = required(n, "", given, "apiVersion", "kind", "metadata", "spec")
	}
	if err != nil {
		return Service{}, err
	}
	if r := s.Restart; r.MaxBackoff < r.InitialBackoff {
		return Service{}, lineError(n.Line, "spec.restart.maxBackoff", "%v is too small; allowed is %v (initialBackoff) to 1h0m0s", r.MaxBackoff, r.InitialBackoff)
	}
	if s.MemoryLimit != 0 && s.MemoryRequest > s.MemoryLimit {
		return Service{}, lineError(n.Line, "spec.resources.requests.memory", "%d bytes is more than the limit; allowed is up to %d bytes", s.MemoryRequest, s.MemoryLimit)
	}
	return s, nil
}

func (s *Service) readName(n *yaml.Node, path string) error {
	if err := text(&s.Name)(n, path); err != nil {
		return err
	}
	if len(s.Name) > maxName || len(validation.IsDNS1123Label(s.Name)) > 0 {
		return lineError(n.Line, path, "%q is no name; allowed are 1 to %d lower case letters, digits and '-', with a letter or digit at both ends", s.Name, maxName)
	}
	return nil
}

func (s *Service) readEnv(n *yaml.Node, path string) error {
	items, err := sequence(n, path)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, item := range items {
		var v EnvVar
		at := path + "[" + strconv.Itoa(i) + "]"
		fields := nested(map[string]field{"name": text(&v.Name), "value": text(&v.Value)}, "name")
		if err := fields(item, at); err != nil {
			return err
		}
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") || strings.Contains(v.Value, "\x00") {
			return lineError(item.Line, at, "%q is no variable; allowed is a name without '=', and no NUL", v.Name)
		}
		if seen[v.Name] {
			return lineError(item.Line, at+".name", "%q is given twice; allowed is once", v.Name)
		}
		seen[v.Name] = true
		s.Env = append(s.Env, v)
	}
	return nil
}

func (s *Service) readMinAvailable(n *yaml.Node, path string) error {
	value, err := scalar(n, path)
	if err != nil {
		return err
	}
	share, percent := strings.CutSuffix(value, "%")
	upper := MaxReplicas // and 100 percent: the same number
	count, err := strconv.Atoi(share)
	if err != nil || count < 0 || count > upper {
		return lineError(n.Line, path, "%q is no number of replicas; allowed are 0 to %d, and 0%% to 100%%", value, MaxReplicas)
	}
	v := intstr.FromInt32(int32(count))
	if percent {
		v = intstr.FromString(value)
	}
	s.MinAvailable = &v
	return nil
}

func (s *Service) resources() field {
	return nested(map[string]field{
		"requests": nested(map[string]field{
			"cpu":    quantity(1, 1_000_000, &s.CPURequestMilli, (*resource.Quantity).MilliValue, "1m to 1000, such as 500m"),
			"memory": quantity(1, 1<<50, &s.MemoryRequest, (*resource.Quantity).Value, "1 to 1Pi, such as 64Mi"),
		}),
		"limits": nested(map[string]field{
			"memory": quantity(minMemoryLimit, 1<<50, &s.MemoryLimit, (*resource.Quantity).Value, "1Mi to 1Pi, such as 128Mi"),
		}),
	})
}

func (p *Probe) fields() field {
	return nested(map[string]field{
		"path":             p.readPath,
		"period":           duration(&p.Period, 50*time.Millisecond, 5*time.Minute),
		"timeout":          duration(&p.Timeout, 10*time.Millisecond, time.Minute),
		"initialDelay":     duration(&p.InitialDelay, 0, 10*time.Minute),
		"failureThreshold": number(&p.FailureThreshold, 1, 100),
	}, "path")
}

func (p *Probe) readPath(n *yaml.Node, path string) error {
	if err := text(&p.Path)(n, path); err != nil {
		return err
	}
	if !strings.HasPrefix(p.Path, "/") || strings.ContainsAny(p.Path, " \t\r\n#") {
		return lineError(n.Line, path, "%q is no path; allowed is what begins with '/', such as /readyz", p.Path)
	}
	return nil
}

func (r *Restart) fields() field {
	return nested(map[string]field{
		"initialBackoff": duration(&r.InitialBackoff, 10*time.Millisecond, time.Hour),
		"maxBackoff":     duration(&r.MaxBackoff, 10*time.Millisecond, time.Hour),
		"resetAfter":     duration(&r.ResetAfter, 10*time.Millisecond, 24*time.Hour),
	})
}
