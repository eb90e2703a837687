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
  for (const net::JsonValue p : document->root()["items"])
    for (const net::JsonValue way : p["ways"])
      fmt::print("{:<28}{:<9}{:<40}{}\n", p["name"].text_or(""), way["kind"].text_or(""), way["address"].text_or(""),
                 way["confirmed_at"].text() ? fmt::format("answered a test {}", way["confirmed_at"].text_or(""))
                                            : "never answered a test");
  for (const net::JsonValue gap : document->root()["missing"]) fmt::print("! {}\n", gap.text_or(""));
  return kDone;
}

int tell(const Command& c, const std::string& path, const std::string& body, std::string_view said) {
  const auto got = call_control(Folder(c.data), net::Method::post, path, body);
  if (!got) return failed(got.error());
  fmt::print("{}\n", said);
  return kDone;
}

}  // namespace

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
    rc = tell(*c, "/api/contacts/test", {},
              "the test is on its way; whoever gets it gives its code to: bavn contact confirm");
  });
  auto* confirm = leaf("confirm", "The code of a test, as the duty contact got it");
  confirm->add_option("code", c->code, "ABCD-EFGH")->required();
  confirm->callback([c, &rc] {
    std::string body;
    JsonWriter(body).object().member("code", c->code).end();
    rc = tell(*c, "/api/contacts/confirm", body, "confirmed: this way reaches the person");
  });
}

}  // namespace bavn::app
