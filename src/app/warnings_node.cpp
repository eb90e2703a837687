#include <fmt/format.h>
#include <boost/describe.hpp>

#include <charconv>

#include "app/warnings.hpp"
#include "net/json_views.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::app {

namespace {

using net::Needs;

struct Seen {
  std::string by;
};
BOOST_DESCRIBE_STRUCT(Seen, (), (by))
struct Taken {
  std::optional<std::string> municipality;
  bool taken = true;
  std::string why;
};
BOOST_DESCRIBE_STRUCT(Taken, (), (municipality, taken, why))
struct Exposed {
  std::string state;
  std::optional<std::int64_t> systems;
};
BOOST_DESCRIBE_STRUCT(Exposed, (), (state, systems))
struct NewRule {
  std::string product, state;
  std::optional<std::string> municipality;
  std::optional<std::int64_t> systems;
};
BOOST_DESCRIBE_STRUCT(NewRule, (), (product, state, municipality, systems))

net::Reply done(const Result<void>& result) {
  if (!result) return net::problem(result.error());
  net::Reply reply;
  reply.status = 204;
  return reply;
}
template <class T>
net::Reply view(const Result<T>& result) {
  return result ? net::json(net::to_json(*result)) : net::problem(result.error());
}

/// The one that is named, or the only one this node has.
Result<MunicipalityId> chosen(const std::vector<MunicipalityId>& ours, std::optional<std::string_view> name) {
  if (!name || name->empty()) {
    if (ours.size() == 1) return ours[0];
    return fail(Code::bad_input, "this node is of several municipalities: say which", "municipality");
  }
  const auto all = tenants::Municipalities::all();
  BAVN_TRY(const auto* m, all.named(*name));
  if (std::find(ours.begin(), ours.end(), m->id) == ours.end())
    return fail(Code::not_found, fmt::format("{} is not of this node", m->name), "municipality");
  return m->id;
}

}  // namespace

void add_warning_routes_node(net::Router& control, store::State& state, warn::NodeDesk& desk,
                             std::vector<MunicipalityId> municipalities) {
  const auto of = [municipalities](const net::Request& q) -> Result<MunicipalityId> {
    const auto name = q.asked("municipality");
    BAVN_TRY(const auto m, chosen(municipalities, name ? std::optional<std::string_view>(*name) : std::nullopt));
    if (!q.scope.sees(m)) return fail(Code::not_found, "this municipality is not known here", "municipality");
    return m;
  };
  control.get("/api/warnings", Needs::alert_read, [&desk](const net::Request& q) { return view(desk.list(q.scope)); });
  control.get("/api/warnings/{id}", Needs::alert_read, [&desk, of](const net::Request& q) {
    const auto m = of(q);
    return m ? view(desk.show(q.scope, q.param("id"), *m)) : net::problem(m.error());
  });
  control.get(
      "/api/warnings/{id}/text", Needs::alert_read, [&desk, texts = Catalogue::embedded(), of](const net::Request& q) {
        const auto m = of(q);
        if (!m) return net::problem(m.error());
        const auto found = desk.show(q.scope, q.param("id"), *m);
        if (!found) return net::problem(found.error());
        const auto language = language_of(q.asked("language").value_or("en")).value_or(Language::en);
        for (const auto& t : found->entry.texts)
          if (t.language == to_string(language))
            return net::text(warn::answer_line(texts, language, found->answer) + "\n\n" + warn::printed(texts, t));
        return net::problem(404, "no text", "this warning has no text in that language");
      });
  control.post("/api/warnings/{id}/seen", Needs::alert_write, [&state, &desk, of](const net::Request& q) {
    const auto m = of(q);
    if (!m) return net::problem(m.error());
    const auto asked = net::from_json<Seen>(q.body, net::Unknown::refuse);
    if (!asked) return net::problem(asked.error());
    return done(state.write_now([&](store::Tx& tx) { return desk.acknowledge(tx, q.param("id"), *m, asked->by); }));
  });
  control.post("/api/warnings/{id}/look", Needs::hunt, [&state, &desk, of](const net::Request& q) {
    const auto m = of(q);
    if (!m) return net::problem(m.error());
    return done(state.write_now([&](store::Tx& tx) { return desk.look_again(tx, q.param("id"), *m); }));
  });
  control.post("/api/taken", Needs::tenants_write, [&state, &desk, municipalities](const net::Request& q) {
    const auto asked = net::from_json<Taken>(q.body, net::Unknown::refuse);
    if (!asked) return net::problem(asked.error());
    const auto m = chosen(municipalities, asked->municipality);
    if (!m) return net::problem(m.error());
    return done(state.write_now(
        [&](store::Tx& tx) { return desk.mark_taken(tx, *m, asked->taken, q.scope.who(), asked->why); }));
  });

  control.get("/api/exposure", Needs::alert_read,
              [&desk](const net::Request& q) { return view(desk.questions(q.scope)); });
  control.post("/api/exposure/{id}/answer", Needs::alert_write, [&state, &desk, of](const net::Request& q) {
    const auto m = of(q);
    if (!m) return net::problem(m.error());
    const auto asked = net::from_json<Exposed>(q.body, net::Unknown::refuse);
    if (!asked) return net::problem(asked.error());
    return done(state.write_now([&](store::Tx& tx) {
      return desk.answer_question(tx, q.param("id"), *m, asked->state, asked->systems.value_or(0), q.scope.who());
    }));
  });
  control.get("/api/exposure-rules", Needs::alert_read,
              [&desk](const net::Request& q) { return view(desk.rules(q.scope)); });
  control.post("/api/exposure-rules", Needs::alert_write, [&state, &desk, municipalities](const net::Request& q) {
    const auto asked = net::from_json<NewRule>(q.body, net::Unknown::refuse);
    if (!asked) return net::problem(asked.error());
    const auto m = chosen(municipalities, asked->municipality);
    if (!m) return net::problem(m.error());
    warn::ExposureRule rule;
    rule.municipality = *m;
    rule.product = asked->product;
    rule.state = asked->state;
    rule.systems = asked->systems.value_or(0);
    return done(state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(desk.add_rule(tx, rule, q.scope.who()));
      return {};
    }));
  });
  control.del("/api/exposure-rules/{id}", Needs::alert_write, [&state, &desk](const net::Request& q) {
    const std::string_view text = q.param("id");
    std::int64_t id = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (ec != std::errc{} || end != text.data() + text.size())
      return net::problem(Error{Code::bad_input, "a standing answer is named by its number", "id"});
    return done(state.write_now([&](store::Tx& tx) { return desk.remove_rule(tx, id, q.scope.who()); }));
  });
}

}  // namespace bavn::app
