#include "app/blocks_hub.hpp"

#include <fmt/format.h>

#include <charconv>

#include "net/json_views.hpp"

namespace bavn::app {

namespace {

using net::Needs;

template <class T>
net::Reply reply_of(const Result<T>& done, int status = 200) {
  return done ? net::json(net::to_json(*done), status) : net::problem(done.error());
}
net::Reply reply_of(const Result<void>& done) {
  if (!done) return net::problem(done.error());
  net::Reply reply;
  reply.status = 204;
  return reply;
}

std::string_view person(const net::Request& q) {
  return q.asked("as").value_or("");
}
std::string_view why(const net::Request& q) {
  return q.asked("why").value_or("");
}

Result<std::int64_t> number(std::string_view text, std::string_view what) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::bad_input, fmt::format("{} is a whole number", what), std::string(text.substr(0, 50)));
  return n;
}

Result<std::optional<MunicipalityId>> municipality(const net::Request& q) {
  const auto asked = q.asked("municipality");
  if (!asked) return std::optional<MunicipalityId>();
  BAVN_TRY(const auto n, number(*asked, "a municipality's code"));
  if (n < 1 || n > 65535) return fail(Code::bad_input, "this is no municipality's code", std::string(*asked));
  return std::optional(MunicipalityId{static_cast<std::uint16_t>(n)});
}

}  // namespace

void add_block_routes_hub(net::Router& router, warn::blocks::HubBlocks& blocks) {
  router.post("/api/blocks", Needs::publish, [&blocks](const net::Request& q) -> net::Reply {
    const auto p = net::from_json<warn::blocks::Proposal>(q.body, net::Unknown::refuse);
    return p ? reply_of(blocks.propose(person(q), *p), 201) : net::problem(p.error());
  });
  router.post("/api/block-questions", Needs::publish, [&blocks](const net::Request& q) {
    return reply_of(blocks.ask(person(q), q.asked("kind").value_or(""), q.asked("value").value_or("")), 201);
  });
  router.get("/api/blocks", Needs::tenants_read,
             [&blocks](const net::Request& q) { return reply_of(blocks.list(q.asked("all").has_value())); });
  router.get("/api/blocks/{id}", Needs::tenants_read,
             [&blocks](const net::Request& q) { return reply_of(blocks.show(q.param("id"))); });
  router.post("/api/blocks/{id}/approve", Needs::publish,
              [&blocks](const net::Request& q) { return reply_of(blocks.approve(person(q), q.param("id"))); });
  router.post("/api/blocks/{id}/stop", Needs::publish,
              [&blocks](const net::Request& q) { return reply_of(blocks.stop(person(q), q.param("id"), why(q))); });
  router.post("/api/blocks/{id}/renew", Needs::publish, [&blocks](const net::Request& q) -> net::Reply {
    const auto hours = number(q.asked("hours").value_or(""), "hours");
    return hours ? reply_of(blocks.renew(person(q), q.param("id"), *hours)) : net::problem(hours.error());
  });
  router.get("/api/block-switch", Needs::tenants_read,
             [&blocks](const net::Request&) { return reply_of(blocks.kills()); });
  router.post("/api/block-switch/kill", Needs::publish, [&blocks](const net::Request& q) -> net::Reply {
    const auto m = municipality(q);
    return m ? reply_of(blocks.kill(person(q), *m, why(q))) : net::problem(m.error());
  });
  router.post("/api/block-switch/revive", Needs::publish, [&blocks](const net::Request& q) -> net::Reply {
    const auto m = municipality(q);
    return m ? reply_of(blocks.revive(person(q), *m, why(q))) : net::problem(m.error());
  });
}

}  // namespace bavn::app
