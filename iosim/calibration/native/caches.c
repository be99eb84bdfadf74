/* What a working set costs that has been pushed out of the caches. */

#include "probe.h"

#define LINE_BYTES 64

struct line {
    struct line *next;
    char rest[LINE_BYTES - sizeof(struct line *)];
};

/* A ring through all lines in random order: each is read once the one before it is there. */
static struct line *working_set(size_t kib)
{
    size_t n = kib * 1024 / LINE_BYTES;
    struct line *lines = aligned_alloc(4096, n * sizeof *lines);
    size_t *order = calloc(n, sizeof *order);
    if (!lines || !order)
        give_up("no memory");
    for (size_t i = 0; i < n; i++) {
        size_t j = (size_t)(random_fraction() * (double)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    for (size_t i = 0; i < n; i++)
        lines[order[i]].next = &lines[order[(i + 1) % n]];
    free(order);
    return lines;
}

static void touch(struct line *first)
{
    struct line *volatile line = first;
    do
        line = line->next;
    while (line != first);
}

/* Reading a working set of `argument[0]` KiB, line by line: once more (`alone`), and after another
 * of the same size has been read (`shared`), as when two threads take turns. The difference is
 * what a switch costs beyond itself. Reads wait for each other, which a server's need not. */
PROBE(cache_refill)
{
    struct line *own = working_set((size_t)argument[0]);
    struct line *others = working_set((size_t)argument[0]);
    MEASURE_ONE(figure("cache_refill", "ws=%ldKiB;alone", argument[0]), touch(own), touch(own), );
    MEASURE_ONE(figure("cache_refill", "ws=%ldKiB;shared", argument[0]), touch(others),
                touch(own), touch(own));
}
