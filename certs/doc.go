// Package certs gives a server its certificate and keeps it fresh: a certificate that was
// renewed is served to the next connection, without a restart. A Source says where certificates
// come from; files are the one there is.
//
// Assumption: whoever renews the files replaces both within a moment, as the kubelet does with a
// mounted Secret. While they do not fit together the former pair is served.
package certs
