// Package answers classifies the API server's answers to the controller's requests: what each concerns, how to
// back off, and the reason and remedy for users. All of that is in one table (rows).
//
// An answer that is wrongly attributed to a node costs one request for each node; one that is wrongly
// attributed to the daemon holds back healthy nodes for 15 minutes. So an unknown answer concerns the node.
// Text of other components that an answer quotes, such as a webhook's, must not select a row: patterns match from the
// beginning of the API server's own text.
package answers
