package transcript

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlay(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	var ran []string
	run := func(command string, words []string) {
		ran = append(ran, command+"("+strings.Join(words, "|")+")")
		out.WriteString(command + " ran\n")
	}
	got := Play("# A story.\n\none a \"b c\"\n# between\ntwo\n----\nwhat was printed once\n\nthree `say \"so\"`\n", &out, Words, run)
	if diff := cmp.Diff("# A story.\n\none a \"b c\"\n# between\ntwo\n----\none ran\ntwo ran\n\nthree `say \"so\"`\n----\nthree ran\n", got); diff != "" {
		t.Errorf("the story (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"one(a|b c)", "two()", `three(say "so")`}, ran); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
	if again := Play(got, &out, Words, run); again != got {
		t.Errorf("played again it reads\n%s", again)
	}
}
