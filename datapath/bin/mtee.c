/*
 * mtee - copy standard input to standard output, and into an object.
 */
#include <stdio.h>
#include <unistd.h>

#include "protocol/tool.h"

static struct tool tool = {
    .name = "mtee",
    .usage = "usage: mtee [-c COPIES] [-H 'NAME: VALUE']... PATH\n"
             "\n"
             "Copies standard input to standard output and saves it as the object PATH. The\n"
             "object is not an output of the task. If the reader of standard output stops\n"
             "early, the object still gets everything.\n"
             "\n"
             "  PATH             the object's name; its directory must exist.\n"
             "                   `~~` stands for the job owner's directory\n"
             "  -c COPIES        copies to keep (default 2)\n"
             "  -H NAME: VALUE   set a header of the object, such as `content-type: text/plain`\n"
             "  --help           this text\n"
             "\n"
             "Exit status: 0; 1 if the object was not saved; 2 for wrong usage.\n",
};

static void parse(int argc, char **argv, struct tool_request *request)
{
    char copies[64];
    int32_t wanted = 2;
    int found;

    while ((found = tool_option(&tool, argc, argv, "c:H:", NULL)) != -1) {
        switch (found) {
        case 'c':
            wanted = tool_whole(&tool, optarg, "invalid durability (-c)");
            break;
        case 'H':
            tool_add_header(&tool, request, optarg);
            break;
        }
    }
    if (optind == argc)
        tool_misused(&tool, "A manta object key must be specified.");
    if (argc - optind > 1)
        tool_misused(&tool, "more than one path");
    if (wanted < 1)
        tool_misused(&tool, "invalid durability (-c)");
    tool_set_path(&tool, request, argv[optind]);
    snprintf(copies, sizeof copies, "x-durability-level: %d", wanted);
    tool_add_header(&tool, request, copies);
}

int main(int argc, char **argv)
{
    static struct tool_request request = {.open = {.kind = PASS_TEE, .reducer = -1}};
    uint64_t moved;
    int blob;

    parse(argc, argv, &request);
    tool_open(&tool, &request, &blob, 1);
    tool_spooled(&tool, spool_tee(STDIN_FILENO, blob, STDOUT_FILENO, &moved));
    tool_commit(&tool, &blob, 1);
    return 0;
}
