#include "app/contacts.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <boost/describe.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "net/json_value.hpp"
#include "net/json_views.hpp"

namespace bavn::app {

namespace {

using net::Needs;

struct NewContact {
  std::string name, kind, address;
  std::optional<std::string> language, secret;  // secret: of a webhook; made when not given
  std::optional<bool> outside;
  std::optional<std::int64_t> rank;
};
BOOST_DESCRIBE_STRUCT(NewContact, (), (name, kind, address, language, secret, outside, rank))

/// The person as named, made when not there; a duty contact from now on.
Result<PersonId> person_of(tenants::People& people, const event::Scope& scope, MunicipalityId municipality,
                           const NewContact& c) {
  BAVN_TRY(const auto all, people.of(scope, municipality));
  const auto at = std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.name == c.name && !p.left; });
  PersonId id;
  if (at != all.end()) {
    id = at->id;
  } else {
    BAVN_TRY(id, people.add(scope, {municipality, c.name, "duty contact", c.language.value_or("en")}));
  }
  const bool is_one =
      at != all.end() && std::find(at->roles.begin(), at->roles.end(), tenants::Role::duty_contact) != at->roles.end();
  if (!is_one) BAVN_CHECK(people.give_role(scope, id, tenants::Role::duty_contact));
  return id;
}

Result<std::string> add_contact(Runtime& runtime, store::State& state, const event::Scope& scope,
                                MunicipalityId municipality, std::string_view body) {
  BAVN_TRY(const NewContact c, net::from_json<NewContact>(body, net::Unknown::refuse));
  const auto kind = tenants::way_kind_of(c.kind);
  if (!kind) return fail(Code::bad_input, "a way is webhook, mail, phone or sms", c.kind);
  tenants::NewWay way{*kind, c.address, c.outside.value_or(false), static_cast<int>(c.rank.value_or(1)), {}};
  if (*kind == tenants::WayKind::webhook) {
    std::array<std::byte, 32> random{};
    runtime.random(random);
    way.webhook_secret =
        c.secret.value_or("whsec_" + to_base64({reinterpret_cast<const char*>(random.data()), random.size()}));
  }
  tenants::People people(runtime, state);
  BAVN_TRY(const PersonId id, person_of(people, scope, municipality, c));
  BAVN_TRY(const auto made, people.add_way(scope, id, way));
  std::string out;
  JsonWriter w(out);
  w.object().member("person", id.value).member("way", made);
  if (!way.webhook_secret.empty()) w.member("secret", way.webhook_secret);
  w.end();
  return out;
}

Result<std::string> contacts(Runtime& runtime, store::State& state, const event::Scope& scope,
                             MunicipalityId municipality) {
  const tenants::People people(runtime, state);
  BAVN_TRY(const auto all, people.duty_contacts(scope, municipality));
  BAVN_TRY(const auto gaps, people.duty_gaps(scope, municipality));
  std::string out;
  JsonWriter w(out);
  w.object().key("contacts").array();
  for (const auto& p : all) {
    w.object().member("name", p.name).member("language", p.language).key("ways").array();
    for (const auto& way : p.ways) {
      w.object().member("way", way.id).member("kind", tenants::to_string(way.kind)).member("address", way.address);
      w.member("rank", static_cast<std::int64_t>(way.rank)).member("outside", way.outside_tenant);
      if (way.confirmed) w.member("confirmed", format_time(*way.confirmed));
      w.end();
    }
    w.end().end();
  }
  w.end().key("missing").array();
  for (const auto& gap : gaps) w.value(gap);
  w.end().end();
  return out;
}

net::Reply reply_of(const Result<std::string>& json, int status = 200) {
  return json ? net::json(*json, status) : net::problem(json.error());
}

struct Command {
  std::string data, name, kind, address, language, code;
  int rank = 1;
  bool outside = false, json = false;
};

int add(const Command& c) {
  std::string body;
  JsonWriter w(body);
  w.object().member("name", c.name).member("kind", c.kind).member("address", c.address).member("outside", c.outside);
  w.member("rank", static_cast<std::int64_t>(c.rank));
  if (!c.language.empty()) w.member("language", c.language);
  w.end();
  const auto got = call_control(Folder(c.data), net::Method::post, "/api/contacts", body);
  if (!got) return failed(got.error());
  const auto document = net::JsonDocument::parse(*got);
  if (!document) return failed(document.error());
  if (c.json) {
    fmt::print("{}\n", *got);
    return kDone;
  }
  fmt::print("{} is reached by {}\n", c.name, c.address);
  if (const auto secret = document->root()["secret"].text())
    fmt::print("The webhook's secret, shown this once (Standard Webhooks): {}\n", *secret);
  return kDone;
}

int list(const Command& c) {
  const auto got = call_control(Folder(c.data), net::Method::get, "/api/contacts");
  if (!got) return failed(got.error());
  const auto document = net::JsonDocument::parse(*got);
  if (!document) return failed(document.error());
  if (c.json) {
    fmt::print("{}\n", *got);
    return kDone;
  }
  for (const net::JsonValue p : document->root()["contacts"])
    for (const net::JsonValue way : p["ways"])
      fmt::print("{:<28}{:<9}{:<40}{}\n", p["name"].text_or(""), way["kind"].text_or(""), way["address"].text_or(""),
                 way["confirmed"].text() ? fmt::format("answered a test {}", way["confirmed"].text_or(""))
                                         : "never answered a test");
  for (const net::JsonValue gap : document->root()["missing"]) fmt::print("! {}\n", gap.text_or(""));
  return kDone;
}

int tell(const Command& c, const std::string& path, std::string_view said) {
  const auto got = call_control(Folder(c.data), net::Method::post, path);
  if (!got) return failed(got.error());
  fmt::print("{}\n", said);
  return kDone;
}

}  // namespace

void add_contact_routes(net::Router& router, Runtime& runtime, store::State& state, MunicipalityId municipality,
                        NightCall& night) {
  router.post("/api/contacts", Needs::people_write, [&runtime, &state, municipality](const net::Request& q) {
    return reply_of(add_contact(runtime, state, q.scope, municipality, q.body), 201);
  });
  router.get("/api/contacts", Needs::tenants_read, [&runtime, &state, municipality](const net::Request& q) {
    return reply_of(contacts(runtime, state, q.scope, municipality));
  });
  router.post("/api/contacts/test", Needs::people_write, [&night](const net::Request&) {
    const auto sent = night.test_now();
    return sent ? net::json(fmt::format("{{\"sent\":{}}}", *sent)) : net::problem(sent.error());
  });
  router.post("/api/contacts/confirm", Needs::people_write, [&night](const net::Request& q) {
    const auto done = night.notify().confirm(q.asked("code").value_or(""));
    return done ? net::json("{}") : net::problem(done.error());
  });
}

void add_contact_commands(CLI::App& app, int& rc) {
  const auto c = std::make_shared<Command>();
  auto* contact = app.add_subcommand("contact", "Who is called at night, and whether the ways to them work");
  contact->require_subcommand(1);
  const auto leaf = [&](const char* name, const char* help) {
    auto* sub = contact->add_subcommand(name, help);
    sub->add_option("--data", c->data, "The node's data folder; the node must run")->required();
    return sub;
  };
  auto* more = leaf("add", "A way to reach a duty contact; the person is written down when not there yet");
  more->add_option("name", c->name, "The person's name")->required();
  more->add_option("kind", c->kind, "webhook, mail, sms (a gateway sends), or phone (for people to dial)")->required();
  more->add_option("address", c->address, "https://..., name@example.org or +45 12 34 56 78")->required();
  more->add_option("--language", c->language, "da, nb or en");
  more->add_option("--rank", c->rank, "1 is tried first")->check(CLI::Range(1, 99));
  more->add_flag("--outside", c->outside, "Works when the municipality's own directory and mail are taken");
  more->add_flag("--json", c->json, "JSON on stdout");
  more->callback([c, &rc] { rc = add(*c); });
  auto* all = leaf("list", "Duty contacts, their ways, and what is missing");
  all->add_flag("--json", c->json, "JSON on stdout");
  all->callback([c, &rc] { rc = list(*c); });
  leaf("test", "Send a test with a code to every way now")->callback([c, &rc] {
    rc = tell(*c, "/api/contacts/test",
              "the test is on its way; whoever gets it gives its code to: bavn contact confirm");
  });
  auto* confirm = leaf("confirm", "The code of a test, as the duty contact got it");
  confirm->add_option("code", c->code, "ABCD-EFGH")->required();
  confirm->callback([c, &rc] {
    rc = tell(*c, "/api/contacts/confirm?code=" + net::percent_encoded(c->code),
              "confirmed: this way reaches the person");
  });
}

}  // namespace bavn::app
