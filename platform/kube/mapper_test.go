package kube

import (
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/restmapper"
	clienttesting "k8s.io/client-go/testing"
)

func TestAKindThatIsInstalledLaterIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{}}
		serve := func(kind, name string) {
			served.Resources = append(served.Resources, &metav1.APIResourceList{
				GroupVersion: "example.dev/v1", APIResources: []metav1.APIResource{{Name: name, Kind: kind, Namespaced: true}},
			})
		}
		serve("Widget", "widgets")
		m := &mapper{DeferredDiscoveryRESTMapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(served))}
		ask := func(kind string) error {
			_, err := m.RESTMapping(schema.GroupKind{Group: "example.dev", Kind: kind})
			return err
		}
		if err := ask("Widget"); err != nil {
			t.Fatal(err)
		}
		if ask("Gadget") == nil {
			t.Fatal("a kind that is not served is found")
		}
		served.Resources[0].APIResources = append(served.Resources[0].APIResources, metav1.APIResource{Name: "gadgets", Kind: "Gadget", Namespaced: true})
		asked := len(served.Actions())
		if ask("Gadget") == nil || len(served.Actions()) != asked {
			t.Error("the API server is asked for its kinds again and again")
		}
		time.Sleep(remapEvery)
		if err := ask("Gadget"); err != nil {
			t.Errorf("half a minute later: %v", err)
		}
	})
}
