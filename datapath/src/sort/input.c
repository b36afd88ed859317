#include "sort/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sort/block.h"

enum { PIECE = 64 * 1024 }; /* text that is read at once while a header is sought */

void input_allow_many(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

void input_open(struct input *input, const char *const *files, size_t n, char end, int has_header)
{
    *input = (struct input){.files = files, .n = n, .end = end, .has_header = has_header, .fd = -1};
}

int input_file(const char *name)
{
    int fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* pipes refuse it */
    return fd;
}

const char *input_name(const struct input *input)
{
    return input->files[input->next - 1];
}

static ssize_t read_some(struct input *input, char *to, size_t room)
{
    ssize_t got;

    do
        got = read(input->fd, to, room);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        input->read += (size_t)got;
    return got;
}

static void end_file(struct input *input)
{
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    input->fd = -1;
}

/* Keep the first header there is. */
static void take_header(struct input *input, char *text, size_t len)
{
    if (input->header || len == 0)
        return;
    input->header = text;
    input->header_len = len;
}

/* Read up to the end of the first line; what follows it is `left`. Returns 0, or -1 with errno. */
static int read_header(struct input *input)
{
    char *text = NULL, *end = NULL;
    size_t len = 0, header;

    while (!end) {
        char *larger = realloc(text, len + PIECE + 1 + BLOCK_PAD);
        ssize_t got = larger ? read_some(input, larger + len, PIECE) : -1;

        text = larger ? larger : text;
        if (got < 0 || len > LINE_MAX_BYTES) {
            errno = got < 0 ? errno : EFBIG;
            free(text);
            return -1;
        }
        if (got == 0) {
            if (len == 0)
                break;
            text[len] = input->end;
            got = 1;
        }
        end = memchr(text + len, input->end, (size_t)got);
        len += (size_t)got;
    }
    header = end ? (size_t)(end - text) + 1 : 0;
    free(input->left);
    input->left = malloc(len - header + 1);
    if (!input->left) {
        free(text);
        return -1;
    }
    memcpy(input->left, text + header, len - header);
    input->left_at = 0;
    input->left_len = len - header;
    take_header(input, text, header);
    if (input->header != text)
        free(text);
    return 0;
}

static int begin_file(struct input *input)
{
    input->fd = input_file(input->files[input->next++]);
    input->read = 0;
    return input->fd < 0 || (input->has_header && read_header(input) < 0) ? -1 : 0;
}

ssize_t input_read(struct input *input, char *to, size_t room)
{
    ssize_t got;

    if (input->fd < 0 && input->next == input->n)
        return INPUT_END;
    if (input->fd < 0 && begin_file(input) < 0)
        return -1;
    if (input->left_at < input->left_len) {
        size_t rest = input->left_len - input->left_at;

        got = (ssize_t)(rest < room ? rest : room);
        memcpy(to, input->left + input->left_at, (size_t)got);
        input->left_at += (size_t)got;
        return got;
    }
    if ((got = read_some(input, to, room)) == 0)
        end_file(input);
    return got;
}

void input_close(struct input *input)
{
    end_file(input);
    free(input->header);
    free(input->left);
}
