/* Synchronous blocking I/O: a thread per connection, asleep in the kernel. The twin of
 * iosim/io_models/blocking.py. */

#include "handler.h"

MODEL("blocking")

struct conversation {
    struct server *server;
    struct socket *connection;
};

/* Serve one connection to its end. */
static void converse(void *argument)
{
    struct server *server = ((struct conversation *)argument)->server;
    struct socket *connection = ((struct conversation *)argument)->connection;
    struct request *request;
    free(argument);
    while ((request = await_request(server, connection))) {
        serve(server, request);
        answer(server, request);
    }
    close_socket(connection);
}

/* The server's own work, for ever. */
static void work(void *server)
{
    for (;;)
        do_chunk(server);
}

/* Accept each connection and give it a thread. */
static void run(struct server *server)
{
    if (option_number(server->plan, "own_work_thread", 0) && server->own_work)
        spawn(work, server);
    for (;;) {
        struct socket *connection = accept_connection(server->listener, false);
        if (!connection)
            continue;
        struct conversation *conversation = allocate(1, sizeof *conversation);
        *conversation = (struct conversation){server, connection};
        spawn(converse, conversation);
    }
}
