package observer

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/everynode/everynode/test/faults/history"
)

// Command is the first argument with which a test's own binary runs Main.
const Command = "observe"

// Bystander is the user whose requests have nothing to do with Everynode. A test impersonates it.
const Bystander = "bystander"

// options are the process's flags.
type options struct {
	etcd, audit, socket, out, title string
	offset                          int64
}

// account returns the user name of one of Everynode's programs.
func account(name string) []string {
	return []string{"system:serviceaccount:everynode-system:" + name}
}

// Main is the observer's process. It returns its exit status.
func Main(args []string) int {
	var o options
	flags := flag.NewFlagSet(Command, flag.ExitOnError)
	flags.StringVar(&o.etcd, "etcd", "", "URL of etcd")
	flags.StringVar(&o.audit, "audit", "", "the API server's audit log")
	flags.Int64Var(&o.offset, "offset", 0, "where in the audit log to begin")
	flags.StringVar(&o.socket, "socket", "", "the socket on which marks are received")
	flags.StringVar(&o.out, "out", "", "the file for the history")
	flags.StringVar(&o.title, "title", "", "what is run")
	_ = flags.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "observer:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, o options) error {
	etcd, err := clientv3.New(clientv3.Config{
		Endpoints: []string{o.etcd}, DialTimeout: answerLimit, DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
	})
	if err != nil {
		return err
	}
	defer func() { _ = etcd.Close() }()
	changes, err := newChanges(etcd)
	if err != nil {
		return err
	}
	// A socket of the file system is no port that another process could take.
	listener, err := net.Listen("unix", o.socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(o, changes), ReadHeaderTimeout: answerLimit}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	go changes.follow(ctx)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// answerLimit bounds a request to the observer.
const answerLimit = 2 * time.Minute

// handler serves marks, and saves the history.
func handler(o options, changes *changes) http.Handler {
	mux := http.NewServeMux()
	serve := func(pattern string, act func(*http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := act(r); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	serve("POST /mark", func(r *http.Request) error {
		var mark history.Mark
		if err := json.NewDecoder(r.Body).Decode(&mark); err != nil {
			return err
		}
		if err := changes.catchUp(r.Context()); err != nil {
			return err
		}
		changes.mark(mark)
		return nil
	})
	serve("POST /save", func(r *http.Request) error {
		if err := changes.catchUp(r.Context()); err != nil {
			return err
		}
		return save(o, changes)
	})
	return mux
}

// save writes all records to the file.
func save(o options, changes *changes) error {
	changed, began, err := changes.result()
	if err != nil {
		return err
	}
	converter := requests{changes.decoder}
	asked, err := converter.read(o.audit, o.offset)
	if err != nil {
		return err
	}
	file, err := os.Create(o.out)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	h := &history.History{
		Title: o.title, Controllers: account("everynode-controller"), Schedulers: account("everynode-scheduler"), Webhooks: account("everynode-webhook"),
		Serves: []history.Resource{history.DaemonSets, history.NativeDaemonSets}, Began: began, Bystanders: []string{Bystander},
		Records: history.Merge(changed, asked),
	}
	return errors.Join(h.Save(file), file.Close())
}
