/* Processes forked beforehand, each blocked in accept, then in its connection's recvfrom. The
 * twin of iosim/io_models/prefork.py. */

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "handler.h"

MODEL("prefork")

#define PROCESSES 8 /* where connections come and go */

/* Serve one connection after the other, each to its end. */
static void accept_and_serve(struct server *server)
{
    enlist(server);
    for (;;) {
        struct socket *connection = accept_connection(server->listener, false);
        struct request *request;
        if (!connection)
            continue;
        while ((request = await_request(server, connection))) {
            serve(server, request);
            answer(server, request);
        }
        close_socket(connection);
    }
}

/* Fork the processes and leave the rest to them. */
static void run(struct server *server)
{
    const struct plan *plan = server->plan;
    bool stay = !plan->lifetime && !plan->close_on_timeout;
    int64_t processes = option_number(plan, "processes", stay ? plan->connections : PROCESSES);
    pid_t parent = getpid();
    if (stay && plan->connections > processes)
        give_up("prefork: %ld connections stay open for ever and %ld processes serve one each",
                plan->connections, processes);
    if (option_is(plan, "wake", "herd"))
        give_up("prefork: since Linux 2.4 no kernel wakes all processes in accept");
    server->processes = allocate((size_t)processes + 1, sizeof *server->processes);
    for (int64_t i = 0; i < processes; i++) {
        pid_t process = (pid_t)MUST(fork());
        if (!process) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) /* it has died in the meantime */
                _exit(0);
            accept_and_serve(server);
        }
        server->processes[i] = process;
    }
}
