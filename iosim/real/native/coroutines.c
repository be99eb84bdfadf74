/* The pipeline as coroutines: the producer hands each item over by yielding it. The twin of
 * iosim/io_models/coroutines.py. */

#include "items.h"
#include "switching.h"

ITEMS_MODEL("coroutines")

#define STACK_BYTES 16384

static struct server *server;
static struct item *handed_over; /* NULL: there is none any more */

/* Make items and yield each. */
static void produce(void *argument)
{
    (void)argument;
    while ((handed_over = next_item(server))) {
        burn(handed_over->produce_ns);
        made(handed_over);
        suspend();
    }
}

/* Use each item that is sent in. */
static void consume(void *argument)
{
    (void)argument;
    for (;;) {
        taken();
        burn(handed_over->consume_ns);
        used(server, handed_over);
        suspend();
    }
}

/* Let each producer in turn hand an item to each consumer in turn. */
static void run(struct server *given)
{
    server = given;
    size_t producers = (size_t)server->plan->producers;
    size_t consumers = (size_t)server->plan->consumers;
    struct coroutine **all = allocate(producers + consumers, sizeof *all);
    for (size_t i = 0; i < producers + consumers; i++)
        all[i] = new_coroutine(STACK_BYTES, i < producers ? produce : consume, NULL);
    for (size_t turn = 0;; turn++) {
        resume(server, all[turn % producers]);
        if (!handed_over)
            return;
        resume(server, all[producers + turn % consumers]);
    }
}
