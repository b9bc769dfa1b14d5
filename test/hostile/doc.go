// Package hostile tests the effect of one user's objects on all others, with bounds on the memory, the processor time and the requests
// of Everynode's programs.
//
// TestMallory runs the attacks of an admin of one namespace while the daemon of another one is rolled out. The other tests need a
// cluster in another state: TestHostile stores objects that no decoder accepts, while no validation is active;
// TestProbeOfRefusedDaemons has admission fail and come back. What a stolen token or key permits is in test/privileges, and a policy that denies the
// pods of one node in test/lifecycle.
package hostile
