/* Character classes of JSON, for both halves of json. */
#ifndef REMORA_JSON_TEXT_H
#define REMORA_JSON_TEXT_H

static inline int is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static inline int is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static inline const char *blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

static inline int hex_value(char byte)
{
    char lower = byte | 0x20;

    return is_digit(byte) ? byte - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

#endif
