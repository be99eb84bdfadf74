/* See items.h. */

#define _GNU_SOURCE
#include "items.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "handler.h"

#define MOST_ITEMS (INT64_C(1) << 26)
#define ORDER_LENGTH 64
#define IN_FLIGHT 0
#define ANSWERED 1

static struct {
    struct item *all; /* memory that is there once it is touched */
    int64_t count, start_ns, end_ns;
    char order[ORDER_LENGTH];
    int64_t ordered;
} items;

void begin_load(struct server *server, int64_t start_ns)
{
    items.all = mmap(NULL, MOST_ITEMS * sizeof *items.all, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (items.all == MAP_FAILED)
        give_up("no memory");
    items.start_ns = start_ns;
    items.end_ns = start_ns + server->plan->duration_ns;
    sleep_for(start_ns - now_ns());
}

int64_t load_left_ns(void) { return items.end_ns - now_ns(); }

struct item *next_item(struct server *server)
{
    if (load_left_ns() <= 0)
        return NULL;
    int64_t number = __atomic_fetch_add(&items.count, 1, __ATOMIC_RELAXED);
    if (number >= MOST_ITEMS)
        give_up("more than %ld items", MOST_ITEMS);
    struct item *item = &items.all[number];
    item->row = number % server->plan->rows;
    const int64_t *columns = plan_row(server->plan, (uint32_t)item->row);
    item->produce_ns = columns[0];
    item->consume_ns = columns[1];
    return item;
}

static void note(char what)
{
    int64_t place = items.ordered;
    if (place < ORDER_LENGTH
        && (place = __atomic_fetch_add(&items.ordered, 1, __ATOMIC_RELAXED)) < ORDER_LENGTH)
        items.order[place] = what;
}

void made(struct item *item)
{
    item->made_ns = now_ns();
    note('P');
}

void taken(void) { note('C'); }

void used(struct server *server, struct item *item)
{
    item->used_ns = now_ns();
    count_answered(server);
}

static FILE *create(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    if (!file)
        give_up("%s: %s", path, strerror(errno));
    return file;
}

void write_items(const char *folder)
{
    FILE *file = create(folder, "responses");
    for (int64_t i = 0; i < items.count; i++) {
        const struct item *item = &items.all[i];
        if (!item->made_ns)
            continue;
        int64_t made_ns = item->made_ns - items.start_ns;
        bool in_time = item->used_ns && item->used_ns <= items.end_ns;
        int64_t row[] = {item->row, made_ns, made_ns,
                         in_time ? item->used_ns - items.start_ns : -1,
                         in_time ? ANSWERED : IN_FLIGHT};
        fwrite(row, sizeof row, 1, file);
    }
    fclose(file);
    file = create(folder, "order");
    fwrite(items.order, 1, (size_t)(items.ordered < ORDER_LENGTH ? items.ordered : ORDER_LENGTH),
           file);
    fclose(file);
}
