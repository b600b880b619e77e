package logs

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		// Nothing to see.
		"nothing to see: 5 tokens left":             "nothing to see: 5 tokens left",
		"GET https://host:8443/path":                "GET https://host:8443/path",
		"GET https://host:8443/mail?to=me@example":  "GET https://host:8443/mail?to=me@example",
		"OOM: allocated 256 MiB":                    "OOM: allocated 256 MiB",
		"basic authentication failed":               "basic authentication failed",
		"max_tokens=100 keyword=x bypass: on":       "max_tokens=100 keyword=x bypass: on",
		"password= user=x token:null secret=<nil>":  "password= user=x token:null secret=<nil>",
		"std::token::next at token://x":             "std::token::next at token://x",
		`secret "web-tls" not found in kube-system`: `secret "***" not found in kube-system`,
		"unexpected token: }":                       "unexpected token: }",
		"git clone https://git@github.com/x/y":      "git clone https://git@github.com/x/y",

		// URLs and data source names.
		"connect postgres://app:s3cr3t/x@db:5432/prod":    "connect postgres://app:***@db:5432/prod",
		"connect postgres://app:p@ss@db:5432/prod":        "connect postgres://app:***@db:5432/prod",
		"redis://:hunter2@cache:6379/0":                   "redis://:***@cache:6379/0",
		`"amqp://u:p%40ss@mq/" and "http://a:b@c"`:        `"amqp://u:***@mq/" and "http://a:***@c"`,
		"https://x0123456789abcdef0123@github.com/x":      "https://***@github.com/x",
		"app:hunter2@tcp(db:3306)/shop?parseTime=true":    "app:***@tcp(db:3306)/shop?parseTime=true",
		"host=db user=app password=hunter2 dbname=shop":   "host=db user=app password=*** dbname=shop",
		"Server=db;User Id=sa;Password=hunter2;Encrypt=1": "Server=db;User Id=sa;Password=***;Encrypt=1",
		"AccountName=x;AccountKey=abcd/ef==;Suffix=core":  "AccountName=x;AccountKey=***;Suffix=core",

		// Headers.
		"Authorization: Bearer abcdefghijk":                               "Authorization: Bearer ***",
		"> Proxy-Authorization: Basic dXNlcjpwYXNz":                       "> Proxy-Authorization: Basic ***",
		"authorization: Token abc status=200":                             "authorization: Token *** status=200",
		`Authorization: Digest username="me", response="6629fae4"`:        `Authorization: ***"me", response="6629fae4"`,
		"Authorization: AWS4-HMAC-SHA256 Credential=AKID/x, Signature=fe": "Authorization: ***",
		`{"authorization":"Basic dXNlcjpwYXNz"}`:                          `{"authorization":"Basic ***"}`,
		"map[Authorization:[Bearer abc.def] Cookie:[sid=1; b=2] X:[y]]":   "map[Authorization:[Bearer ***] Cookie:[***] X:[y]]",
		"Cookie: session=abc; theme=dark":                                 "Cookie: ***",
		"Set-Cookie: JSESSIONID=abc; Path=/; HttpOnly":                    "Set-Cookie: ***",
		`msg="got" cookie="a=b; c=d" n=1`:                                 `msg="got" cookie="***" n=1`,
		"X-Api-Key: abc123":                                               "X-Api-Key: ***",
		"X-Vault-Token: s.abc":                                            "X-Vault-Token: ***",
		"sent bearer 0123456789abcdef to it":                              "sent bearer *** to it",

		// Names, in the ways they are written.
		"PASSWORD=hunter2 HOST=db":                         "PASSWORD=*** HOST=db",
		"GET /login?token=abc123&user=me":                  "GET /login?token=***&user=me",
		"client-secret: 'a b c'":                           "client-secret: '***'",
		`{"db_password":"p\"w","user":"x"}`:                `{"db_password":"***","user":"x"}`,
		`msg="{\"api_key\":\"k1234\",\"n\":1}"`:            `msg="{\"api_key\":\"***\",\"n\":1}"`,
		`"{\\\"token\\\":\\\"abc\\\",\\\"n\\\":1}"`:        `"{\\\"token\\\":\\\"***\\\",\\\"n\\\":1}"`,
		`password="cut off in the mid`:                     `password="***`,
		`"password" => "x", :pass => 1`:                    `"password" => "***", :pass => ***`,
		"{User:me Password:hunter2 Port:1}":                "{User:me Password:*** Port:1}",
		"dbPassword: hunter2":                              "dbPassword: ***",
		"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG":    "aws_secret_access_key = ***",
		`"tokens": 5, "token": ["a", "b"], "n": 1`:         `"tokens": 5, "token": [***], "n": 1`,
		`"credentials": {"user": "x", "pwd": "y"}`:         `"credentials": {"user": "x", "pwd": "***"}`,
		"?X-Amz-Security-Token=IQo&X-Amz-Signature=ab&n=1": "?X-Amz-Security-Token=***&X-Amz-Signature=***&n=1",
		"login --user me --password hunter2 --verbose":     "login --user me --password *** --verbose",
		"CREATE USER app IDENTIFIED BY 'hunter2'":          "CREATE USER app IDENTIFIED BY '***'",
		`failed with password "hunter2" for app`:           `failed with password "***" for app`,

		// Forms.
		"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig_":                                     "jwt ***",
		"key AKIAIOSFODNN7EXAMPLE used":                                                         "key *** used",
		"push with ghp_abcdefghijklmnopqrstuvwxyz0123":                                          "push with ***",
		"slack xoxb-123456789012-abcdef":                                                        "slack ***",
		"stripe sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc":                                          "stripe ***",
		"POST https://api.telegram.org/bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456/x":      "POST https://api.telegram.org/***/x",
		"vault hvs.CAESIJlWh0123456789abc":                                                      "vault ***",
		"hash $2b$12$" + strings.Repeat("a", 53) + " stored":                                    "hash *** stored",
		"-----BEGIN PRIVATE KEY-----MII-----END PRIVATE KEY----- then":                          "*** then",
		`{"key":"-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n","n":1}`: `{"key":"***\n","n":1}`,
	} {
		got := Mask(in)
		if got != want {
			t.Errorf("Mask(%q) =\n%q, want\n%q", in, got, want)
		}
		if again := Mask(got); again != got {
			t.Errorf("masked twice, %q becomes %q", got, again)
		}
	}
}

// forms are lines with a secret in them, at $.
func forms() []string {
	return []string{
		"password=$", "PASSWORD: $", `{"token": "$"}`, `{"a":{"clientSecret":"$","b":1}}`, `msg="{\"api_key\":\"$\"}"`, "https://user:$@host/path",
		"redis://:$@host:1", "Authorization: Bearer $", "authorization=Basic $ more", `Authorization: Digest nonce=$ x=$`, "Cookie: a=$; b=$",
		"Set-Cookie: sid=$; Path=/", "Headers map[Authorization:[Bearer $] Cookie:[x=$]]", "GET /?access_token=$&x=1", "app:$@tcp(db:3306)/x",
		"--token $ --x", "IDENTIFIED BY '$'", "{Password:$ User:x}", "db_pass='$'", "secret = `$`", "eyJhbGciOi.eyJ$.$", "ghp_0123456789012345678901$",
		"-----BEGIN PRIVATE KEY-----$-----END PRIVATE KEY-----", `"sessionToken" : "$`,
	}
}

// FuzzMaskLeavesNothing puts a secret into every form.
func FuzzMaskLeavesNothing(f *testing.F) {
	f.Add("hunter2hunter2", "x ")
	f.Add("aB3-_.~+/=AbC", "2026-11-20 INFO ")
	f.Fuzz(func(t *testing.T, secret, before string) {
		alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~+"
		if len(secret) < 8 || strings.Trim(secret, alphabet) != "" || strings.Trim(secret, "abcdefghijklmnopqrstuvwxyz-.") == "" || secret[0] == '-' || secret[0] == '.' {
			t.Skip("too short, or of letters that a password in such a place is escaped for, or a word")
		}
		if strings.ContainsAny(before, "\n\"'`=:\\[/-@") || strings.Contains(before, "(") {
			t.Skip("it would be part of the form")
		}
		for _, form := range forms() {
			if strings.Contains(form+before, secret) {
				continue
			}
			secret := secret
			if strings.Contains(form, "eyJ") || strings.Contains(form, "ghp_") { // what they are made of
				secret = strings.NewReplacer("-", "x", "_", "x", ".", "x", "~", "x", "+", "x").Replace(secret)
			}
			line := before + " " + strings.ReplaceAll(form, "$", secret)
			got := Mask(line)
			if strings.Contains(got, secret) {
				t.Fatalf("Mask(%q) = %q", line, got)
			}
			if again := Mask(got); again != got {
				t.Fatalf("masked twice, %q becomes %q and then %q", line, got, again)
			}
		}
	})
}

// FuzzMaskTwice holds that masking what is masked changes nothing, whatever the line.
func FuzzMaskTwice(f *testing.F) {
	for _, form := range forms() {
		f.Add(form)
	}
	f.Add(`password="\token=\"x"" secret:['a'](token=)`)
	f.Fuzz(func(t *testing.T, line string) {
		once := Mask(line)
		if again := Mask(once); again != once {
			t.Fatalf("%q becomes %q and then %q", line, once, again)
		}
	})
}

func BenchmarkMask(b *testing.B) {
	lines := []string{
		`{"level":"info","ts":1795176001.12,"caller":"app/main.go:41","msg":"order stored","order":17,"took":"12ms"}`,
		"GET https://shop.example/api/orders/17?token=abc 200 in 12 ms", "Authorization: Bearer abc.def.ghi", "nothing to see here at all, move on",
	}
	n := 0
	for b.Loop() {
		Mask(lines[n%len(lines)])
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lines/s")
}

func TestMaskTextKeepsTheLines(t *testing.T) {
	const key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
	got := MaskText("cannot connect\n\tto postgres://app:hunter2@db/app\n-----BEGIN PRIVATE KEY-----\n" + key + "\n-----END PRIVATE KEY-----\n")
	if want := "cannot connect\n\tto postgres://app:***@db/app\n***\n***\n***\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := MaskText(""); got != "" {
		t.Errorf("nothing became %q", got)
	}
}
