#include "net/egress.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "base/text.hpp"

namespace bavn::net {

namespace {

struct Net4 {
  std::uint8_t a, b, c, d;
  unsigned bits;
};

constexpr Net4 metadata4[] = {
    {169, 254, 169, 254, 32},  // most clouds
    {169, 254, 170, 2, 32},    // AWS container credentials
    {100, 100, 100, 200, 32},  // Alibaba
    {168, 63, 129, 16, 32},    // Azure's host, a public address
};

// RFC 6890 and its successors.
constexpr Net4 inside4[] = {
    {0, 0, 0, 0, 8},       {10, 0, 0, 0, 8},     {100, 64, 0, 0, 10}, {127, 0, 0, 0, 8},    {169, 254, 0, 0, 16},
    {172, 16, 0, 0, 12},   {192, 0, 0, 0, 24},   {192, 0, 2, 0, 24},  {192, 168, 0, 0, 16}, {198, 18, 0, 0, 15},
    {198, 51, 100, 0, 24}, {203, 0, 113, 0, 24}, {224, 0, 0, 0, 3},
};

bool within(std::uint32_t address, const Net4& net) {
  const std::uint32_t base =
      std::uint32_t{net.a} << 24U | std::uint32_t{net.b} << 16U | std::uint32_t{net.c} << 8U | net.d;
  return (address ^ base) >> (32U - net.bits) == 0;
}

Reach reach4(std::uint32_t address) {
  for (const Net4& net : metadata4)
    if (within(address, net)) return Reach::metadata;
  for (const Net4& net : inside4)
    if (within(address, net)) return Reach::inside;
  return Reach::outside;
}

std::uint32_t big_endian(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24U | std::uint32_t{at[1]} << 16U | std::uint32_t{at[2]} << 8U | at[3];
}

Reach reach6(const std::uint8_t (&a)[16]) {
  constexpr std::uint8_t zero[12] = {};
  constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  constexpr std::uint8_t nat64[12] = {0, 0x64, 0xFF, 0x9B};
  constexpr std::uint8_t aws[16] = {0xFD, 0, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};  // fd00:ec2::254
  if (std::memcmp(a, aws, 16) == 0) return Reach::metadata;
  if (std::memcmp(a, mapped, 12) == 0 || std::memcmp(a, nat64, 12) == 0) return reach4(big_endian(a + 12));
  if (std::memcmp(a, zero, 12) == 0) return Reach::inside;             // ::, ::1, and what was once IPv4-compatible
  if (a[0] == 0x20 && a[1] == 0x02) return reach4(big_endian(a + 2));  // 6to4
  if ((a[0] & 0xE0U) != 0x20) return Reach::inside;                    // only 2000::/3 is given out
  if (a[0] == 0x20 && a[1] == 0x01 && a[2] < 2) return Reach::inside;  // 2001::/23: Teredo, benchmarks, ORCHID
  if (a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0D && a[3] == 0xB8) return Reach::inside;  // documentation
  return Reach::outside;
}

}  // namespace

Reach reach_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    return reach4(ntohl(in.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &address, sizeof in);
    return reach6(in.sin6_addr.s6_addr);
  }
  return Reach::inside;
}

bool may_be_inside(const EgressPolicy& policy, const Url& url) {
  return std::any_of(policy.inside.begin(), policy.inside.end(),
                     [&](const std::string& host) { return iequals(host, url.host); });
}

Result<void> permitted(const EgressPolicy& policy, const Url& url) {
  if (may_be_inside(policy, url)) return {};
  if (!url.tls && !policy.plain_http) return fail(Code::forbidden, fmt::format("{}: only https is allowed", url.host));
  if (!policy.ports.empty() && std::find(policy.ports.begin(), policy.ports.end(), url.port) == policy.ports.end())
    return fail(Code::forbidden, fmt::format("{}: port {} is not among the allowed ones", url.host, url.port));
  return {};
}

}  // namespace bavn::net
