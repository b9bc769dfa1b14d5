package standin

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	baseversion "k8s.io/component-base/version"
)

// release serves the version of the libraries.
func (s *Server) release(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, &version.Info{GitVersion: "v" + baseversion.DefaultKubeBinaryVersion + ".0"})
}

// versions, groups and discover serve an API server's discovery.
func (s *Server) versions(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, &metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
}

func (s *Server) groups(w http.ResponseWriter, _ *http.Request) {
	list := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}}
	for gvr := range s.resources {
		if gvr.Group == "" {
			continue
		}
		version := metav1.GroupVersionForDiscovery{GroupVersion: gvr.GroupVersion().String(), Version: gvr.Version}
		list.Groups = append(list.Groups, metav1.APIGroup{
			Name: gvr.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
		})
	}
	answer(w, http.StatusOK, list)
}

func (s *Server) discover(w http.ResponseWriter, r *http.Request) {
	asked := schema.GroupVersion{Group: r.PathValue("group"), Version: r.PathValue("version")}
	list := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: asked.String()}
	for gvr, resource := range s.resources {
		if gvr.GroupVersion() == asked {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: gvr.Resource, Kind: resource.kind, Namespaced: resource.namespaced, Verbs: metav1.Verbs{"watch"},
			})
		}
	}
	answer(w, http.StatusOK, list)
}
