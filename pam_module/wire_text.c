/*
 * wire_text.c - the pure half of the protocol's client: bytes in, values out
 *
 * Holds the rendering of a request and the strict parsing of the server's lines.
 * Must not do I/O, allocate, or keep state outside its arguments; a line that it
 * does not fully understand is WIRE_UNAVAILABLE, never a grant and never a denial.
 * Privileges: none.
 */
#include "wire.h"

#include <stdint.h>
#include <string.h>

/* The one request of a connection has this id. */
#define REQUEST_ID "1"

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* An output buffer that remembers that it overflowed. */
struct output {
    char *data;
    size_t size;
    size_t used;
    bool overflowed;
};

static void put_bytes(struct output *out, const char *data, size_t length)
{
    if (out->overflowed || length > out->size - out->used) {
        out->overflowed = true;
        return;
    }
    if (length > 0)
        memcpy(out->data + out->used, data, length);
    out->used += length;
}

static void put_text(struct output *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

static void put_number(struct output *out, unsigned long number)
{
    char digits[3 * sizeof(number)];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_bytes(out, digits + at, sizeof(digits) - at);
}

static char escape_letter(char c)
{
    switch (c) {
    case '\0':
        return '0';
    case '\001':
        return '1';
    case '\t':
        return 't';
    case '\r':
        return 'r';
    case '\n':
        return 'n';
    default:
        return 0;
    }
}

static bool unescape_letter(char letter, char *c_r)
{
    static const char letters[] = "01trn";
    static const char values[] = {'\0', '\001', '\t', '\r', '\n'};
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

    if (found == NULL)
        return false;
    *c_r = values[found - letters];
    return true;
}

static void put_escaped(struct output *out, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char letter = escape_letter(data[i]);

        if (letter != 0) {
            char pair[2] = {'\001', letter};

            put_bytes(out, pair, sizeof(pair));
        } else {
            put_bytes(out, data + i, 1);
        }
    }
}

bool wire_escape(const char *in, size_t length, char *out, size_t size, size_t *length_r)
{
    struct output output = {.data = out, .size = size};

    put_escaped(&output, in, length);
    *length_r = output.used;
    return !output.overflowed;
}

bool wire_unescape(const char *in, size_t length, char *out, size_t size, size_t *length_r)
{
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        char c = in[i];

        if (c == '\001' && (++i == length || !unescape_letter(in[i], &c)))
            return false;
        if (used == size)
            return false;
        out[used++] = c;
    }
    *length_r = used;
    return true;
}

/* RFC 4648 s4, fed byte by byte so that the plain message is never assembled in memory. */
struct base64 {
    struct output *out;
    uint32_t bits;
    unsigned count; /* bytes in bits: 0, 1 or 2 */
};

static void put_quad(struct base64 *encoder, unsigned padding)
{
    char quad[4];

    for (unsigned i = 0; i < 4; i++) {
        uint32_t value = encoder->bits >> (18 - 6 * i) & 63;

        quad[i] = i >= 4 - padding ? '=' : BASE64[value];
    }
    put_bytes(encoder->out, quad, sizeof(quad));
    encoder->bits = 0;
    encoder->count = 0;
}

static void base64_add(struct base64 *encoder, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        encoder->bits |= (uint32_t)(unsigned char)data[i] << (16 - 8 * encoder->count);
        if (++encoder->count == 3)
            put_quad(encoder, 0);
    }
}

static void base64_finish(struct base64 *encoder)
{
    if (encoder->count > 0)
        put_quad(encoder, 3 - encoder->count);
}

/* "\tKEY=VALUE"; nothing if the value is unknown or of a length that no honest client sends. */
static void put_detail(struct output *out, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0' || strlen(value) > WIRE_MAX_DETAIL)
        return;
    put_text(out, "\t");
    put_text(out, key);
    put_text(out, "=");
    put_escaped(out, value, strlen(value));
}

bool wire_render_request(const struct wire_request *request, long pid, char *buffer, size_t size,
                         size_t *length_r, const char **why_r)
{
    struct output out = {.data = buffer, .size = size};
    struct base64 encoder = {.out = &out};

    *length_r = 0;
    /* A NUL would end the name or the password within the PLAIN message (RFC 4616 s2). */
    if (memchr(request->user.data, '\0', request->user.length) != NULL ||
        memchr(request->secret.data, '\0', request->secret.length) != NULL) {
        *why_r = "NUL in the account name or password";
        return false;
    }

    put_text(&out, "VERSION\t1\t1\nCPID\t");
    put_number(&out, (unsigned long)pid);
    put_text(&out, "\nAUTH\t" REQUEST_ID "\tPLAIN");
    put_detail(&out, "service", request->service);
    put_detail(&out, "lip", request->lip);
    put_detail(&out, "rip", request->rip);
    put_detail(&out, "lport", request->lport);
    put_detail(&out, "rport", request->rport);
    if (request->secured != NULL && strcmp(request->secured, "tls") == 0)
        put_text(&out, "\tsecured=tls");
    else if (request->secured != NULL && request->secured[0] != '\0')
        put_text(&out, "\tsecured");
    put_detail(&out, "session", request->session);
    put_detail(&out, "local_name", request->local_name);
    put_detail(&out, "orig_user", request->orig_user);
    put_text(&out, request->look_up ? "\tmailauth=lookup" : "\tmailauth=1");
    if (request->release != NULL) {
        put_text(&out, "\tfactor=release");
        put_detail(&out, "release", request->release);
    } else if (request->second_factor_only) {
        put_text(&out, "\tfactor=second");
    }
    /* The protocol wants resp to be the last parameter. */
    put_text(&out, "\tresp=");
    base64_add(&encoder, "", 1);
    base64_add(&encoder, request->user.data, request->user.length);
    base64_add(&encoder, "", 1);
    base64_add(&encoder, request->secret.data, request->secret.length);
    base64_finish(&encoder);
    put_text(&out, "\n");

    explicit_bzero(&encoder, sizeof(encoder));
    if (out.overflowed) {
        *why_r = "the request is too long";
        return false;
    }
    *length_r = out.used;
    return true;
}

/* The next TAB-separated field of a line. */
struct field {
    const char *data;
    size_t length;
};

static bool next_field(const char **at, const char *end, struct field *field_r)
{
    const char *tab;

    if (*at == NULL)
        return false;
    tab = memchr(*at, '\t', (size_t)(end - *at));
    field_r->data = *at;
    field_r->length = (size_t)((tab != NULL ? tab : end) - *at);
    *at = tab != NULL ? tab + 1 : NULL;
    return true;
}

static bool field_is(const struct field *field, const char *text)
{
    return field->length == strlen(text) && memcmp(field->data, text, field->length) == 0;
}

/* If the field is KEY=..., the part after the equals sign. */
static bool field_value(const struct field *field, const char *key, struct field *value_r)
{
    size_t length = strlen(key);

    if (field->length <= length || memcmp(field->data, key, length) != 0 ||
        field->data[length] != '=')
        return false;
    value_r->data = field->data + length + 1;
    value_r->length = field->length - length - 1;
    return true;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Reads a decimal number of at most four digits. */
static bool field_number(const struct field *field, unsigned *number_r)
{
    unsigned number = 0;

    if (field->length < 1 || field->length > 4)
        return false;
    for (size_t i = 0; i < field->length; i++) {
        if (field->data[i] < '0' || field->data[i] > '9')
            return false;
        number = number * 10 + (unsigned)(field->data[i] - '0');
    }
    *number_r = number;
    return true;
}

static bool over(struct wire_reply *reply, const char *why)
{
    memset(reply, 0, sizeof(*reply));
    reply->verdict = WIRE_UNAVAILABLE;
    reply->why = why;
    return true;
}

/* An account name with a control character would forge fields or log lines further on. */
static bool take_user(const struct field *value, struct wire_reply *reply)
{
    size_t length;

    if (!wire_unescape(value->data, value->length, reply->user, WIRE_MAX_USER, &length) ||
        length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (is_control(reply->user[i]))
            return false;
    }
    reply->user[length] = '\0';
    return true;
}

/* Keeps the text to one printable line: it goes into IMAP and SMTP replies. */
static bool take_reason(const struct field *value, struct wire_reply *reply)
{
    char text[WIRE_MAX_LINE];
    size_t length;

    if (!wire_unescape(value->data, value->length, text, sizeof(text), &length))
        return false;
    if (length > WIRE_MAX_REASON) {
        length = WIRE_MAX_REASON;
        /* Not in the middle of a character: 10xxxxxx continues one (RFC 3629 s3). */
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    for (size_t i = 0; i < length; i++)
        reply->reason[i] = is_control(text[i]) ? ' ' : text[i];
    reply->reason[length] = '\0';
    return true;
}

/* A token that is not what our server makes would be no use later: better no login now. */
static bool take_release(const struct field *value, struct wire_reply *reply)
{
    if (value->length != WIRE_RELEASE_DIGITS)
        return false;
    for (size_t i = 0; i < value->length; i++) {
        char c = value->data[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return false;
    }
    memcpy(reply->release, value->data, value->length);
    reply->release[value->length] = '\0';
    return true;
}

/* A key that may go on to Dovecot: of the userdb, or of a proxy; none that lets anybody in. */
static bool is_for_dovecot(const struct field *field)
{
    static const char *const NAMES[] = {"proxy",    "proxy_timeout", "proxy_nopipelining",
                                        "host",     "hostip",        "port",
                                        "destuser", "master",        "pass",
                                        "ssl",      "starttls"};
    static const char *const PREFIXES[] = {"userdb_", "forward_"};
    struct field value;
    const char *equals = memchr(field->data, '=', field->length);
    size_t length = equals != NULL ? (size_t)(equals - field->data) : 0;

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (field_value(field, NAMES[i], &value))
            return true;
    }
    for (size_t i = 0; i < sizeof(PREFIXES) / sizeof(PREFIXES[0]); i++) {
        size_t prefix = strlen(PREFIXES[i]);
        size_t at = prefix;

        if (length <= prefix || length > 80 || memcmp(field->data, PREFIXES[i], prefix) != 0)
            continue;
        while (at < length &&
               ((field->data[at] >= 'a' && field->data[at] <= 'z') ||
                (field->data[at] >= '0' && field->data[at] <= '9') || field->data[at] == '_'))
            at++;
        if (at == length)
            return true;
    }
    return false;
}

/* Keeps a field as it stands: it was escaped for a line like Dovecot's own. */
static bool keep_field(const struct field *field, struct wire_reply *reply)
{
    size_t used = strlen(reply->fields);

    for (size_t i = 0; i < field->length; i++) {
        /* \001 begins an escape; anything else that controls a line would forge one. */
        if (is_control(field->data[i]) && field->data[i] != '\001')
            return false;
    }
    if (field->length + 1 > WIRE_MAX_FIELDS - used)
        return false;
    memcpy(reply->fields + used, field->data, field->length);
    reply->fields[used + field->length] = '\t';
    reply->fields[used + field->length + 1] = '\0';
    return true;
}

/* OK id user=NAME [tail=N] [release=HEX] [userdb_KEY=VALUE ...] ... */
static bool take_ok(const char *at, const char *end, struct wire_reply *reply)
{
    struct field field, value;
    unsigned tail = 0;
    bool has_user = false;

    while (next_field(&at, end, &field)) {
        if (field.length == 0)
            return over(reply, "OK with an empty field");
        if (field_value(&field, "user", &value)) {
            if (has_user || !take_user(&value, reply))
                return over(reply, "OK with an unusable user");
            has_user = true;
        } else if (field_value(&field, "tail", &value)) {
            if (reply->has_tail || !field_number(&value, &tail))
                return over(reply, "OK with an unusable tail");
            reply->has_tail = true;
            reply->tail_bytes = tail;
        } else if (field_value(&field, "release", &value)) {
            if (reply->release[0] != '\0' || !take_release(&value, reply))
                return over(reply, "OK with an unusable release");
        } else if (field_is(&field, "nologin") || field_is(&field, "noauthenticate") ||
                   field_value(&field, "nologin", &value) ||
                   field_value(&field, "noauthenticate", &value)) {
            /* How Dovecot words "right password, but no". Our server never does. */
            return over(reply, "OK that forbids the login");
        } else if (is_for_dovecot(&field) && !keep_field(&field, reply)) {
            return over(reply, "OK with unusable fields");
        }
    }
    if (!has_user)
        return over(reply, "OK without a user");
    reply->verdict = WIRE_GRANTED;
    return true;
}

/* FAIL id [user=NAME] [reason=TEXT] [code=CODE] ...; Dovecot up to 2.2 said "temp". */
static bool take_fail(const char *at, const char *end, struct wire_reply *reply)
{
    struct field field, value;
    bool has_reason = false;

    while (next_field(&at, end, &field)) {
        if (field.length == 0)
            return over(reply, "FAIL with an empty field");
        if (field_value(&field, "reason", &value)) {
            if (has_reason || !take_reason(&value, reply))
                return over(reply, "FAIL with an unusable reason");
            has_reason = true;
        } else if (field_is(&field, "code=unknown")) {
            reply->unknown = true;
        } else if (field_is(&field, "code=temp_fail") || field_is(&field, "temp")) {
            return over(reply, "the server reports a temporary failure");
        }
    }
    reply->verdict = WIRE_DENIED;
    return true;
}

static bool is_keyword(const struct field *field)
{
    if (field->length < 1 || field->length > 32)
        return false;
    for (size_t i = 0; i < field->length; i++) {
        char c = field->data[i];

        if ((c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

static bool take_greeting(struct wire_conversation *seen, const struct field *keyword,
                          const char *at, const char *end, struct wire_reply *reply)
{
    struct field field;
    unsigned minor;

    if (++seen->greeting_lines > WIRE_MAX_GREETING_LINES)
        return over(reply, "the greeting does not end");
    if (!seen->version_seen) {
        /* "VERSION must be the first line"; majors are incompatible, minors are not. */
        if (!field_is(keyword, "VERSION") || !next_field(&at, end, &field) ||
            !field_is(&field, "1") || !next_field(&at, end, &field) ||
            !field_number(&field, &minor) || at != NULL)
            return over(reply, "not the authentication protocol, version 1");
        seen->version_seen = true;
        return false;
    }
    if (field_is(keyword, "DONE")) {
        if (!seen->plain_offered)
            return over(reply, "the server does not offer PLAIN");
        seen->greeted = true;
    } else if (field_is(keyword, "MECH")) {
        if (next_field(&at, end, &field) && field_is(&field, "PLAIN"))
            seen->plain_offered = true;
    } else if (field_is(keyword, "VERSION") || field_is(keyword, "OK") ||
               field_is(keyword, "FAIL") || field_is(keyword, "CONT")) {
        return over(reply, "an answer in the middle of the greeting");
    }
    /* SPID, CUID, COOKIE and lines of later minor versions are not for us. */
    return false;
}

bool wire_take_line(struct wire_conversation *seen, const char *line, size_t length,
                    struct wire_reply *reply_r)
{
    const char *at = line;
    const char *end = line + length;
    struct field keyword, id;

    memset(reply_r, 0, sizeof(*reply_r));
    for (size_t i = 0; i < length; i++) {
        if (line[i] == '\0' || line[i] == '\r') /* these two have to be escaped */
            return over(reply_r, "a NUL or CR in the server's line");
    }
    if (!next_field(&at, end, &keyword) || !is_keyword(&keyword))
        return over(reply_r, "garbage instead of the server's line");
    if (!seen->greeted)
        return take_greeting(seen, &keyword, at, end, reply_r);

    if (!field_is(&keyword, "OK") && !field_is(&keyword, "FAIL"))
        return over(reply_r, "an answer that is neither OK nor FAIL");
    if (!next_field(&at, end, &id) || !field_is(&id, REQUEST_ID))
        return over(reply_r, "an answer to another request");
    if (field_is(&keyword, "OK"))
        return take_ok(at, end, reply_r);
    return take_fail(at, end, reply_r);
}

bool wire_parse_seconds(const char *text, unsigned *ms_r)
{
    unsigned long ms = 0;
    unsigned weight = 1000;
    bool fraction = false;
    bool digits = false;

    for (; *text != '\0'; text++) {
        if (*text == '.' && !fraction) {
            fraction = true;
        } else if (*text >= '0' && *text <= '9') {
            digits = true;
            if (fraction && weight == 1)
                return false;
            if (fraction)
                weight /= 10;
            ms = fraction ? ms + weight * (unsigned)(*text - '0')
                          : ms * 10 + 1000 * (unsigned long)(*text - '0');
        } else {
            return false;
        }
        if (ms > 3600UL * 1000)
            return false;
    }
    if (!digits || ms == 0)
        return false;
    *ms_r = (unsigned)ms;
    return true;
}
