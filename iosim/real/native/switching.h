/* Coroutines with a stack each, in one thread, and two ways to switch between them and who
 * resumes them: swapcontext(3), and setjmp and longjmp(3). */

#ifndef IOSIM_SWITCHING_H
#define IOSIM_SWITCHING_H

#include "server.h"

struct coroutine;

/* Switch by longjmp from now on. */
void switch_by_longjmp(void);
/* A coroutine that will run `program(argument)` when it is resumed. */
struct coroutine *new_coroutine(size_t stack_bytes, void (*program)(void *), void *argument);
/* Run `coroutine` until it suspends itself, or ends and is no more. */
void resume(struct server *server, struct coroutine *coroutine);
/* In a coroutine: go back to who has resumed it. */
void suspend(void);
/* The one that runs. */
struct coroutine *current_coroutine(void);

/* Coroutines in the order in which they are to be resumed. */
struct coroutines {
    struct coroutine *first, *last;
};

void append(struct coroutines *list, struct coroutine *coroutine);
struct coroutine *take_first(struct coroutines *list); /* NULL: it is empty */

#endif
