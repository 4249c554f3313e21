/* The frei0r filter that hands every picture to gesso and takes it back.
 *
 * gesso starts ffmpeg with the path of a unix socket in GESSO_SOCKET. Each filter of a graph is
 * one connection: it says who it is once, and then a picture goes out and a picture comes in.
 * A filter can refuse to begin, but has no way to say that a picture failed. So when gesso is
 * gone in the middle, the process ends at once: no file may look whole that is not.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* What frei0r 1 lays down, as far as one filter with one text for a parameter needs it. */
enum { FILTER = 0, RGBA = 1, MAJOR = 1, TEXT = 4 };

struct about {
    const char *name, *author;
    int kind, colours, frei0r, major, minor, parameters;
    const char *explanation;
};

struct parameter {
    const char *name;
    int kind;
    const char *explanation;
};

/* Must match HELLO in serving.py. */
struct hello {
    char magic[4];
    uint32_t node, width, height;
};

struct filter {
    int line, greeted;
    char node[16];
    struct hello hello;
    size_t size;
};

static int call(void)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    const char *path = getenv("GESSO_SOCKET");
    int line;

    if (!path || strlen(path) >= sizeof place.sun_path)
        return -1;
    strcpy(place.sun_path, path);
    line = socket(AF_UNIX, SOCK_STREAM, 0);
    if (line >= 0 && connect(line, (struct sockaddr *)&place, sizeof place)) {
        close(line);
        return -1;
    }
    return line;
}

static int put(int line, const char *data, size_t size)
{
    while (size) {
        ssize_t sent = send(line, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return -1;
        data += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int get(int line, char *data, size_t size)
{
    while (size) {
        ssize_t got = recv(line, data, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        data += got;
        size -= (size_t)got;
    }
    return 0;
}

int f0r_init(void)
{
    int line = call();
    if (line < 0) {
        fputs("gesso: this filter runs under `gesso ffmpeg --route frei0r` only\n", stderr);
        return -1;
    }
    close(line);
    return 0;
}

void f0r_deinit(void)
{
}

void f0r_get_plugin_info(struct about *about)
{
    static const struct about this = {
        "gesso", "the gesso project", FILTER, RGBA, MAJOR, 1, 0, 1, "hands pictures to gesso"};
    *about = this;
}

void f0r_get_param_info(struct parameter *parameter, int index)
{
    static const struct parameter node = {"node", TEXT, "number of the node"};
    (void)index;
    *parameter = node;
}

void *f0r_construct(unsigned width, unsigned height)
{
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    filter->line = call();
    if (filter->line < 0) {
        free(filter);
        return NULL;
    }
    memcpy(filter->hello.magic, "GSO1", 4);
    filter->hello.width = width;
    filter->hello.height = height;
    filter->size = (size_t)width * height * 4;
    return filter;
}

void f0r_destruct(void *instance)
{
    struct filter *filter = instance;
    close(filter->line);
    free(filter);
}

void f0r_set_param_value(void *instance, void *value, int index)
{
    struct filter *filter = instance;
    (void)index;
    snprintf(filter->node, sizeof filter->node, "%s", *(char **)value);
}

void f0r_get_param_value(void *instance, void *value, int index)
{
    struct filter *filter = instance;
    (void)index;
    *(char **)value = filter->node;
}

void f0r_update(void *instance, double time, const uint32_t *in, uint32_t *out)
{
    struct filter *filter = instance;
    int failed = 0;
    (void)time;

    if (!filter->greeted) {
        filter->hello.node = (uint32_t)strtoul(filter->node, NULL, 10);
        failed = put(filter->line, (const char *)&filter->hello, sizeof filter->hello);
        filter->greeted = 1;
    }
    if (failed || put(filter->line, (const char *)in, filter->size) ||
        get(filter->line, (char *)out, filter->size)) {
        fputs("gesso: it ended before the video did; so does ffmpeg\n", stderr);
        _exit(1);
    }
}
