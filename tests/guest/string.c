/* SPDX-License-Identifier: ISC */
/*
 * The three functions a compiler may call without being asked. Nothing else.
 */
#include <stddef.h>

void	*memcpy(void *to, const void *from, size_t n);
void	*memset(void *to, int c, size_t n);
int	memcmp(const void *a, const void *b, size_t n);

void *
memcpy(void *to, const void *from, size_t n)
{
	void *r = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : :
	    "memory");
	return r;
}

void *
memset(void *to, int c, size_t n)
{
	void *r = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return r;
}

int
memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (size_t i = 0; i < n; i++)
		if (p[i] != q[i])
			return p[i] < q[i] ? -1 : 1;
	return 0;
}
