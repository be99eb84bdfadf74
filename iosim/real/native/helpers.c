/* See helpers.h. */

#include "helpers.h"

static struct {
    struct server *server;
    int64_t most, all, idle;
    void (*done)(struct request *request);
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    struct queue calls;
} helpers = {.mutex = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER};

void set_up_helpers(struct server *server, int64_t most, void (*done)(struct request *request))
{
    helpers.server = server;
    helpers.most = most;
    helpers.done = done;
}

static void help(void *argument)
{
    struct server *server = argument;
    for (;;) {
        lock(&helpers.mutex);
        while (!helpers.calls.first) {
            helpers.idle++;
            pthread_cond_wait(&helpers.not_empty, &helpers.mutex);
            helpers.idle--;
        }
        struct request *request = take(&helpers.calls);
        unlock(&helpers.mutex);
        call(server, request, &server->plan->steps[request->next_step - 1]);
        helpers.done(request);
    }
}

void hand_over(struct request *request)
{
    lock(&helpers.mutex);
    put(&helpers.calls, request);
    bool one_more = !helpers.idle && (!helpers.most || helpers.all < helpers.most);
    helpers.all += one_more;
    if (!one_more)
        pthread_cond_signal(&helpers.not_empty);
    unlock(&helpers.mutex);
    if (one_more)
        spawn(help, helpers.server);
}
