// Package answers classifies the answers of an API server to the controller's requests: what each concerns, how to
// back off, and the reason and remedy that users are shown. All of that is in one table (rows).
//
// An answer that is wrongly taken for one about a node costs one request for each node; one that is wrongly taken
// for one about the daemon holds back healthy nodes for 15 minutes. So an unknown answer concerns the node. Texts of
// others that an answer quotes, such as a webhook's, must not select a row: patterns match from the beginning of
// what the API server itself writes.
package answers
