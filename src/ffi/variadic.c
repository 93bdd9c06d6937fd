/* w_pack and w_unpack: C variadics, which stable Rust cannot define. They walk the argument
 * list and leave everything else to vhpy_pack and vhpy_unpack. src/ffi/pack.rs exports them
 * under their own names. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vhpy.h"

#define ON_STACK 32

w_Targs *vhpy_variadic_pack(const char *format, ...);
int vhpy_variadic_unpack(w_Targs *args, const char *format, ...);

w_Targs *vhpy_variadic_pack(const char *format, ...)
{
    w_Telement on_stack[ON_STACK], *values = on_stack;
    size_t count = format ? strlen(format) : 0, i;
    w_Targs *packed;
    va_list ap;

    if (count > ON_STACK && !(values = malloc(count * sizeof *values)))
        return NULL;
    memset(values, 0, count * sizeof *values);
    va_start(ap, format);
    for (i = 0; i < count; i++) {
        values[i].type = format[i];
        switch (format[i]) {
        case 'l': values[i].l = va_arg(ap, long); continue;
        case 'd': values[i].d = va_arg(ap, double); continue;
        case 's': case 'D': values[i].s = va_arg(ap, char *); continue;
        case 'L': values[i].L = va_arg(ap, char **); continue;
        case 'p': case 'O': values[i].p = va_arg(ap, void *); continue;
        }
        break; /* an unknown letter: the size of its argument is unknown, and vhpy_pack refuses */
    }
    va_end(ap);
    packed = vhpy_pack(format, values);
    if (values != on_stack)
        free(values);
    return packed;
}

int vhpy_variadic_unpack(w_Targs *args, const char *format, ...)
{
    w_Telement on_stack[ON_STACK], *values = on_stack;
    size_t count = format ? strlen(format) : 0, i, at = 0;
    int good;
    va_list ap;

    if (count > ON_STACK && !(values = malloc(count * sizeof *values)))
        return 0;
    good = vhpy_unpack(args, format, values);
    va_start(ap, format);
    for (i = 0; good && i < count; i++) {
        long *l;
        double *d;
        char **s, ***L;
        void **p;

        if (format[i] == '|')
            continue;
        switch (format[i]) {
        case 'l': if ((l = va_arg(ap, long *))) *l = values[at].l; break;
        case 'd': if ((d = va_arg(ap, double *))) *d = values[at].d; break;
        case 's': case 'D': if ((s = va_arg(ap, char **))) *s = values[at].s; break;
        case 'L': if ((L = va_arg(ap, char ***))) *L = values[at].L; break;
        default: if ((p = va_arg(ap, void **))) *p = values[at].p; break;
        }
        at++;
    }
    va_end(ap);
    if (values != on_stack)
        free(values);
    return good;
}
