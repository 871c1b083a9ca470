/* SPDX-License-Identifier: ISC */
/*
 * The route to an address by asking the kernel for the address of our own that it
 * would use, and for who has that one. Knows no rtnetlink: discovery/links.c does.
 */
#include "outlet.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESS_MAX	(INET6_ADDRSTRLEN + 1u + IF_NAMESIZE)	/* "%scope" */


static bool
same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->sa_family == AF_INET6 &&
	    IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr);
}

static unsigned int
who_has(const struct sockaddr *own)
{
	unsigned int ifindex = 0;
	struct ifaddrs *all, *i;

	if (getifaddrs(&all) < 0)
		return 0;
	for (i = all; i != NULL && ifindex == 0; i = i->ifa_next)
		if (i->ifa_addr != NULL && same_address(i->ifa_addr, own))
			ifindex = if_nametoindex(i->ifa_name);
	freeifaddrs(all);
	return ifindex;
}

/* Connecting a datagram socket asks for a route and sends nothing. */
static unsigned int
route_to(const struct addrinfo *ai)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	unsigned int ifindex = 0;
	int fd;

	fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
	    getsockname(fd, (struct sockaddr *)&own, &len) == 0)
		ifindex = who_has((const struct sockaddr *)&own);
	close(fd);
	return ifindex;
}

unsigned int
outlet_towards(const char *address)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM,
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	const struct sockaddr_in6 *sin6;
	char host[ADDRESS_MAX];
	struct addrinfo *ai = NULL;
	unsigned int ifindex;

	snprintf(host, sizeof(host), "%.*s", (int)strcspn(address, " "),
	    address);
	if (getaddrinfo(host, "9", &hints, &ai) != 0)
		return 0;
	sin6 = (const void *)ai->ai_addr;
	if (ai->ai_family == AF_INET6 && sin6->sin6_scope_id != 0)
		ifindex = sin6->sin6_scope_id;
	else
		ifindex = route_to(ai);
	freeaddrinfo(ai);
	return ifindex;
}
