/*
 * mpipe - make standard input an output of the task.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/tool.h"

static struct tool tool = {
    .name = "mpipe",
    .usage = "usage: mpipe [-p] [-r REDUCER] [-H 'NAME: VALUE']... [-f FILE] [PATH]\n"
             "\n"
             "Saves standard input as an object that is an output of this task, and prints the\n"
             "object's path. A task that uses mpipe does not have its stdout saved as well.\n"
             "\n"
             "  PATH             the object's name; without it, a fresh one is chosen.\n"
             "                   `~~` stands for the job owner's directory\n"
             "  -p               make missing parent directories of PATH\n"
             "  -r REDUCER       send the output to this reducer of the next phase, from 0\n"
             "  -H NAME: VALUE   set a header of the object, such as `content-type: text/plain`\n"
             "  -f FILE          save FILE instead of standard input\n"
             "  --help           this text\n"
             "\n"
             "Exit status: 0; 1 if the object was not saved; 2 for wrong usage.\n",
};

static void parse(int argc, char **argv, struct tool_request *request, const char **file)
{
    int found;

    while ((found = tool_option(&tool, argc, argv, "f:pr:H:", NULL)) != -1) {
        switch (found) {
        case 'f':
            *file = optarg;
            break;
        case 'p':
            request->open.flags |= PASS_PARENTS;
            break;
        case 'r':
            request->open.reducer = tool_reducer(&tool, optarg);
            break;
        case 'H':
            tool_add_header(&tool, request, optarg);
            break;
        }
    }
    if (argc - optind > 1)
        tool_misused(&tool, "more than one path");
    if (argc - optind == 1)
        tool_set_path(&tool, request, argv[optind]);
    else if (!getenv("MANTA_OUTPUT_BASE"))
        tool_misused(&tool, "manta configuration not found in environment");
}

static int open_file(const char *name)
{
    struct stat status;
    int file = open(name, O_RDONLY | O_CLOEXEC);

    if (file < 0 || fstat(file, &status) < 0 || S_ISDIR(status.st_mode))
        tool_misused(&tool, "file %s does not exist or is not readable.", name);
    return file;
}

int main(int argc, char **argv)
{
    static struct tool_request request = {.open = {.kind = PASS_PIPE, .reducer = -1}};
    const char *file = NULL;
    int source = STDIN_FILENO;
    uint64_t moved;
    int blob;

    parse(argc, argv, &request, &file);
    if (file)
        source = open_file(file);
    tool_open(&tool, &request, &blob, 1);
    tool_spooled(&tool, spool_move(source, blob, &moved));
    puts(tool_commit(&tool, &blob, 1));
    return 0;
}
