/* Clients, requests and connections: what clients.c and connections.c know of each other. */

#ifndef IOSIM_CLIENTS_H
#define IOSIM_CLIENTS_H

#include "load.h"

enum state { IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ANSWERED_WITH_ERROR };

struct request {
    int64_t intended_ns;
    int64_t sent_ns, answered_ns; /* NEVER */
    int64_t late_ns;              /* from when it could be sent */
    struct request *next;
    struct client *client;
    uint32_t row, sent_bytes;
    uint32_t attempt;
    uint8_t state;
    bool under_way; /* sent or being sent, on a connection that is open */
};

struct queue {
    struct request *first, *last;
};

void append(struct queue *queue, struct request *request);
struct request *take_first(struct queue *queue);
void take_out(struct queue *queue, struct request *request);

enum link { CLOSED, OPENING, OPEN };

struct client {
    struct watched watched; /* the first: on_ready gets it */
    enum link link;
    uint32_t number;
    uint32_t tag;      /* how often its connection has been closed */
    int64_t places;    /* further requests that may be under way */
    int64_t sent;      /* requests, on this connection */
    uint64_t thoughts; /* of a user: times it has asked */
    struct queue waiting, pending, under_way;
    struct client *next_wanting;
    /* Sending. */
    struct request *unsent; /* of those under way the first that is not sent as a whole */
    bool blocked;           /* there was no room to send it */
    bool dripping;          /* a slow sender: its next piece has its time */
    /* A slow reader. */
    bool hungry;          /* there was nothing to read */
    int64_t swallowed_ns; /* when it last had the time to read */
    /* The answer that is coming. */
    struct header header;
    uint32_t header_bytes, left_bytes;
    struct request *answered; /* NULL: nobody asked for it */
    bool bad;
};

struct counts {
    int64_t wrong, retries, connections_opened, connect_failures, connections_lost;
};

extern struct client *clients;
extern struct counts counts;

/* ------------------------------------------------------------------------------- clients.c */

/* There is a connection for those that are pending. */
void send_pending(struct client *client);

/* A place is free, or several: send what waits. */
void send_next(struct client *client, int64_t now);

/* The answer to `request` has been read. */
void answered(struct request *request, bool failed, int64_t now);

/* --------------------------------------------------------------------------- connections.c */

/* No request is longer. */
void prepare_connections(size_t longest);

/* Whether a request may be sent on the connection that is there. */
bool may_send(const struct client *client);

/* Send `request`, which could be sent from `could_ns` on; what cannot go yet follows. */
void send_on(struct client *client, struct request *request, int64_t could_ns);

/* Open a connection, but not at once: what is left of a batch of events may be the closed
 * connection's. */
void want_connection(struct client *client);

/* Close the connection; another is opened if one is wanted. */
void hang_up(struct client *client);

#endif
