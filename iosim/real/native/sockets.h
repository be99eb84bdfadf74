/* Descriptors, what has come of a message on them, and what has not left yet.
 *
 * A connection is read one message at a time, as in the simulation: recv(2) is asked for no more
 * than what is missing of it. So nothing is left in user space that epoll would not report.
 * What nobody could have meant (a size out of range, a reset) is the end of the connection.
 *
 * A `struct socket` belongs to a descriptor's number for ever, and is used again with it: who
 * comes late with a report of one that is closed finds the next, and there nothing to read. */

#ifndef IOSIM_SOCKETS_H
#define IOSIM_SOCKETS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"

struct server;

#define READ_BYTES 65536

/* A request that has been received, on its way through the handler. */
struct request {
    struct socket *connection;
    uint32_t life;          /* of the connection: it has been closed if that has another by now */
    uint32_t row;
    size_t reply_bytes;
    const int64_t *columns; /* the steps' amounts are found in */
    int next_step;
    int attempt;            /* of the call under way */
    bool failed;            /* its answer is an error */
    int64_t due_ns;         /* when its sleep is over */
    void *sleeper;          /* the program's own note on who is to go on then */
    struct request *next;   /* in a queue */
};

/* Requests in the order in which they are to be taken. */
struct queue {
    struct request *first, *last;
};

void put(struct queue *queue, struct request *request);
struct request *take(struct queue *queue); /* NULL: it is empty */

enum kind { LISTENER, CONNECTION, DEVICE };

struct socket {
    int fd;
    enum kind kind;
    uint32_t life;              /* how many with this descriptor have been closed */
    pthread_mutex_t receiving;  /* where several threads share it: what follows */
    bool is_open;               /* receive has not found its end */
    unsigned char head[sizeof(struct header)];
    size_t have_bytes;          /* of the message that is coming */
    size_t wanted_bytes;
    pthread_mutex_t sending;    /* what follows */
    char *out;                  /* the answer or query under way, its filling made once */
    size_t out_bytes;           /* how much room there is */
    size_t sent_bytes;
    struct queue unsent;        /* answers for which there was no room, the first in part */
    struct request *caller;     /* for whom a device is to answer */
    int device;
    struct socket *next;        /* in a list, of idle ones or of those that are ready */
    void *waiter;               /* the program's own notes, as epoll_event.data is: who waits */
    uint32_t watched;           /* and for what */
};

enum received { MESSAGE, PARTIAL, AGAIN, CLOSED };
enum sent { ALL, PART, GONE };

/* Be ready for what `plan` has coming. */
void prepare_sockets(const struct plan *plan, int devices_port);

/* A listener on the loopback's `port`; 0: any that is free. */
struct socket *listen_on(const struct plan *plan, int port);
int port_of(const struct socket *listener);
void set_nonblocking(struct socket *socket);

/* The next connection; NULL: there is none. */
struct socket *accept_connection(struct socket *listener, bool nonblocking);
/* A new connection to a device. */
struct socket *connect_device(int device, bool nonblocking);
/* The socket of a descriptor that has come from elsewhere. */
struct socket *adopt(int fd, enum kind kind);
/* The socket of a descriptor. */
struct socket *socket_of(int fd);
/* Close it; for the one thread to which receive has said CLOSED. */
void close_socket(struct socket *socket);

/* Receive once. MESSAGE: `*request` has come, or the answer of a device that it has called.
 * CLOSED is said once, whoever asks. */
enum received receive(struct server *server, struct socket *socket, struct request **request);
/* What recv(2) is to ask for at most, and what it has brought: in place of receive. `count` is
 * its result, or less than 0 for an error: -EAGAIN ... */
size_t missing_bytes(const struct socket *socket);
enum received take_in(struct server *server, struct socket *socket, const char *bytes, long count,
                      struct request **request);
/* Receive until a request has come; NULL: no more will. */
struct request *await_request(struct server *server, struct socket *connection);

/* Send what is left of the answer to `request`, as far as there is room. GONE: nobody is there.
 * For who has the lock, where several threads answer on one connection. */
enum sent send_reply(struct server *server, struct request *request);
/* Send the answer on a connection that blocks, and forget the request. */
void answer(struct server *server, struct request *request);
/* Write the answer into its connection's `out`, for who sends it in another way. */
void write_reply(struct request *request);
/* Whether the connection of `request` has been closed here meanwhile. */
bool is_gone(const struct request *request);

/* Write the query of the step that `request` is at into `out`, and send it. */
void write_query(struct socket *socket, struct server *server, struct request *request);
void ask(struct socket *socket, struct server *server, struct request *request);

#endif
