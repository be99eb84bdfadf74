/* See switching.h. */

#undef _FORTIFY_SOURCE /* its longjmp takes a jump to another stack for an error */
#define _GNU_SOURCE
#include "switching.h"

#include <setjmp.h>
#include <ucontext.h>

#define LEAST_STACK_BYTES 16384

struct coroutine {
    void (*program)(void *);
    void *argument;
    bool begun, ended;
    ucontext_t context;
    jmp_buf place;
    struct coroutine *next;
    char stack[];
};

static bool by_longjmp;
static struct coroutine *current;
static ucontext_t resumer_context;
static jmp_buf resumer_place;

void switch_by_longjmp(void) { by_longjmp = true; }

struct coroutine *current_coroutine(void) { return current; }

static void begin(void)
{
    current->program(current->argument);
    current->ended = true;
    suspend();
}

struct coroutine *new_coroutine(size_t stack_bytes, void (*program)(void *), void *argument)
{
    if (stack_bytes < LEAST_STACK_BYTES)
        stack_bytes = LEAST_STACK_BYTES;
    struct coroutine *coroutine = malloc(sizeof *coroutine + stack_bytes);
    if (!coroutine)
        give_up("no memory");
    coroutine->program = program;
    coroutine->argument = argument;
    coroutine->begun = coroutine->ended = false;
    getcontext(&coroutine->context);
    coroutine->context.uc_stack.ss_sp = coroutine->stack;
    coroutine->context.uc_stack.ss_size = stack_bytes;
    makecontext(&coroutine->context, begin, 0);
    return coroutine;
}

void resume(struct server *server, struct coroutine *coroutine)
{
    COUNT(server, coroutine_switches, 1);
    current = coroutine;
    if (!by_longjmp) {
        swapcontext(&resumer_context, &coroutine->context);
    } else if (!_setjmp(resumer_place)) {
        if (current->begun)
            _longjmp(current->place, 1);
        current->begun = true;
        setcontext(&current->context);
    }
    if (current->ended)
        free(current);
}

void suspend(void)
{
    if (!by_longjmp)
        swapcontext(&current->context, &resumer_context);
    else if (!_setjmp(current->place))
        _longjmp(resumer_place, 1);
}

void append(struct coroutines *list, struct coroutine *coroutine)
{
    coroutine->next = NULL;
    if (list->first)
        list->last->next = coroutine;
    else
        list->first = coroutine;
    list->last = coroutine;
}

struct coroutine *take_first(struct coroutines *list)
{
    struct coroutine *coroutine = list->first;
    if (coroutine)
        list->first = coroutine->next;
    return coroutine;
}
