#include "app/mandate.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

#include "act/order.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/text.hpp"
#include "base/threads.hpp"
#include "store/state_file.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::app {

namespace {

constexpr std::size_t kMaxFile = 256 * 1024;

struct Options {
  std::string data, key, owner, file, municipality, leader, title, action = "call_me", target, reason;
  std::vector<std::string> people, seconds;
  int minutes = 60;
};

int answer(const Result<std::string>& done) {
  if (!done) return failed(done.error());
  fmt::print("{}", *done);
  return kDone;
}

Result<std::string> keys_make(const Options& o) {
  DiskFiles files;
  const auto key = SigningKey::random();
  BAVN_CHECK(key.save(files, o.file, o.owner));
  const PublicKeyFile handed_out{key.public_key(), o.owner};
  BAVN_CHECK(replace_file(files, o.file + ".pub", handed_out.text()));
  return fmt::format(
      "{}      the key: only {} may have this file\n{}.pub  the public half: hand this one out\nfingerprint  {}\n",
      o.file, o.owner, o.file, key.public_key().fingerprint());
}

Result<PublicKeyFile> public_key(Files& files, const std::string& path) {
  BAVN_TRY(const auto text, read_file(files, path, kMaxFile));
  auto key = PublicKeyFile::parse(text);
  if (!key) key.error().where = path;
  return key;
}

Result<std::string> mandate_new(const Options& o) {
  DiskFiles files;
  const auto all = tenants::Municipalities::all();
  BAVN_TRY(const auto* municipality, all.named(o.municipality));
  BAVN_TRY(const auto leader, public_key(files, o.leader));
  act::MandateAnswers answers{
      municipality->id, municipality->name, std::string(municipality->zone()), leader.owner, o.title, leader.key, {}};
  for (const bool second : {false, true})
    for (const auto& path : second ? o.seconds : o.people) {
      BAVN_TRY(const auto person, public_key(files, path));
      answers.people.push_back(
          {.name = person.owner, .of = {}, .key = person.key.text(), .second_only = second, .hours = {}});
    }
  const auto at = act::MandateFiles::in(o.data);
  BAVN_CHECK(act::new_mandate(files, at, answers, system_now()));
  return fmt::format("{}: read it, change it, then {} signs it: bavn mandate sign --data {} --key FILE\n", at.mandate,
                     leader.owner, o.data);
}

Result<std::string> mandate_sign(const Options& o) {
  DiskFiles files;
  BAVN_TRY(const auto key, SigningKey::load(files, o.key));
  const auto at = act::MandateFiles::in(o.data);
  BAVN_CHECK(act::sign_mandate(files, at, key, system_now()));
  return fmt::format("signed: {}\n", at.signature);
}

/// Of the node the folder belongs to; without --municipality the mandate's own word is taken.
Result<MunicipalityId> municipality_of(const Options& o, const act::MandateFiles& at) {
  if (!o.municipality.empty()) {
    const auto all = tenants::Municipalities::all();
    BAVN_TRY(const auto* municipality, all.named(o.municipality));
    return municipality->id;
  }
  DiskFiles files;
  BAVN_TRY(const auto text, read_file(files, at.mandate, kMaxFile));
  BAVN_TRY(const auto mandate, act::Mandate::parse(text, at.mandate));
  return mandate.municipality;
}

int mandate_check(const Options& o) {
  DiskFiles files;
  const auto at = act::MandateFiles::in(o.data);
  const auto municipality = municipality_of(o, at);
  if (!municipality) return failed(municipality.error());
  const auto check = act::check_mandate(files, at, *municipality, system_now());
  for (const auto& f : check.findings) fmt::print("{} {}\n", f.blocks ? "PROBLEM" : "note", f.what);
  if (check.mandate) {
    const auto& m = *check.mandate;
    fmt::print("mandate of {}, version {}, signed for by {}, until {}\n", m.municipality_name, m.version, m.leader.name,
               format_time(m.valid_until));
    for (const auto& r : m.rules)
      fmt::print("  {:<16} {}{}\n", r.action, act::to_string(r.mode),
                 r.mode == act::Mode::off ? "" : fmt::format(", at most {} an hour", r.per_hour));
  }
  fmt::print("{}\n", check.holds() ? "the mandate holds" : "the mandate does not hold: no order is carried out");
  return check.holds() ? kDone : kFailed;
}

/// When the monthly test was last passed; the node itself sends tests.
int mandate_test(const Options& o) {
  auto file = store::StateFile::open(o.data + "/state.db");
  if (!file) return failed(file.error());
  const auto tests = file->read([](store::Reader& db) { return act::OrderDesk::tests(db, system_now()); });
  if (!tests) return failed(tests.error());
  if (tests->passed) fmt::print("last passed  {}\n", format_time(*tests->passed));
  if (tests->started) fmt::print("last sent    {}\n", format_time(*tests->started));
  if (tests->overdue)
    fmt::print("the test is {}: the node's next one goes to the duty contact by every way\n",
               tests->passed ? "overdue" : "due, none was ever passed");
  else fmt::print("next due     {}\n", format_time(tests->due));
  return tests->overdue ? kFailed : kDone;
}

Result<act::SignedOrder> read_order(Files& files, const std::string& path) {
  BAVN_TRY(const auto text, read_file(files, path, kMaxFile));
  return act::SignedOrder::parse(text);
}

Result<std::string> order_new(const Options& o) {
  Threads runtime;
  DiskFiles files;
  if (files.exists(o.file)) return fail(Code::conflict, "there is a file of this name", o.file);
  const auto all = tenants::Municipalities::all();
  BAVN_TRY(const auto* municipality, all.named(o.municipality));
  BAVN_TRY(const auto order,
           act::new_order(runtime, municipality->id, o.action, o.target, o.reason, std::chrono::minutes(o.minutes)));
  BAVN_TRY(const auto content, order.content());
  BAVN_CHECK(replace_file(files, o.file, order.text()));
  return fmt::format("{}: {} in {}, until {}. Two people sign it: bavn order sign {} --key FILE\n", content.id,
                     content.action, municipality->name, format_time(content.not_after), o.file);
}

Result<std::string> order_sign(const Options& o) {
  DiskFiles files;
  BAVN_TRY(auto order, read_order(files, o.file));
  BAVN_TRY(const auto content, order.content());
  BAVN_TRY(const auto key, SigningKey::load(files, o.key));
  BAVN_CHECK(act::sign_order(order, key));
  BAVN_CHECK(replace_file(files, o.file, order.text()));
  return fmt::format(
      "signed by {}: {} in municipality {}, target \"{}\", because \"{}\", until {}; {} of 2 signatures\n",
      key.public_key().fingerprint(), content.action, content.municipality.value, content.target, content.reason,
      format_time(content.not_after), order.signatures.size());
}

/// What a node with this mandate would say, but for what only the node knows (orders before, its limits).
Result<std::string> order_check(const Options& o) {
  DiskFiles files;
  BAVN_TRY(const auto order, read_order(files, o.file));
  BAVN_TRY(const auto content, order.content());
  std::string out =
      fmt::format("{}: {} in municipality {}, because \"{}\", from {} until {}, {} signatures\n", content.id,
                  content.action, content.municipality.value, content.reason, format_time(content.not_before),
                  format_time(content.not_after), order.signatures.size());
  if (o.data.empty()) return out;
  const auto at = act::MandateFiles::in(o.data);
  BAVN_TRY(const auto text, read_file(files, at.mandate, kMaxFile));
  BAVN_TRY(const auto mandate, act::Mandate::parse(text, at.mandate));
  BAVN_TRY(const auto people, act::who_signed(order, mandate, system_now(), {{"ed25519", act::check_ed25519}}));
  for (const auto& name : people) out += "signed by " + name + "\n";
  const auto* rule = mandate.rule(content.action);
  if (rule == nullptr || rule->mode == act::Mode::off)
    return fail(Code::forbidden, fmt::format("\"{}\" is not in the mandate", content.action));
  return out + "the mandate allows it\n";
}

}  // namespace

void add_mandate_commands(CLI::App& app, int& rc) {
  // Shared by the callbacks, which run after this function.
  const auto o = std::make_shared<Options>();
  auto* keys = app.add_subcommand("keys", "Key files of people");
  keys->require_subcommand(1);
  auto* make = keys->add_subcommand("make", "Make a key file and its public half");
  make->add_option("file", o->file, "Where the key goes; the public half is FILE.pub")->required();
  make->add_option("--owner", o->owner, "Whose key it is")->required();
  make->footer("Example: bavn keys make anna.key --owner \"Anna Example\"");
  make->callback([o, &rc] { rc = answer(keys_make(*o)); });

  auto* mandate = app.add_subcommand("mandate", "What this municipality lets others do in its name (docs/mandate.md)");
  mandate->require_subcommand(1);
  const auto with_data = [&](CLI::App* sub) {
    sub->add_option("--data", o->data, "The node's data folder")->required();
  };
  auto* fresh = mandate->add_subcommand("new", "Write a mandate with everything off but \"call me\"");
  with_data(fresh);
  fresh->add_option("--municipality", o->municipality, "Name or code")->required();
  fresh->add_option("--leader", o->leader, "The leader's public key file")->required();
  fresh->add_option("--title", o->title, "The leader's title");
  fresh->add_option("--person", o->people, "Public key file of somebody who may order (repeatable)")
      ->allow_extra_args(false);
  fresh->add_option("--second", o->seconds, "Public key file of somebody who counts as the second only (repeatable)")
      ->allow_extra_args(false);
  fresh->callback([o, &rc] { rc = answer(mandate_new(*o)); });
  auto* sign = mandate->add_subcommand("sign", "The leader signs it");
  with_data(sign);
  sign->add_option("--key", o->key, "The leader's key file")->required();
  sign->callback([o, &rc] { rc = answer(mandate_sign(*o)); });
  auto* check = mandate->add_subcommand("check", "Whether it holds, and what is wrong");
  with_data(check);
  check->add_option("--municipality", o->municipality, "The node's own; without it the mandate's word is taken");
  check->callback([o, &rc] { rc = mandate_check(*o); });
  auto* test = mandate->add_subcommand("test", "When the monthly test was passed and is due");
  with_data(test);
  test->callback([o, &rc] { rc = mandate_test(*o); });

  auto* order = app.add_subcommand("order", "Orders to nodes: two people sign, the node checks");
  order->require_subcommand(1);
  auto* give = order->add_subcommand("new", "Write an order");
  give->add_option("file", o->file, "Where it goes")->required();
  give->add_option("--municipality", o->municipality, "Name or code")->required();
  give->add_option("--reason", o->reason, "Why; the duty contact reads it")->required();
  give->add_option("--action", o->action, "call_me");
  give->add_option("--target", o->target, "What it is about: an account");
  give->add_option("--minutes", o->minutes, "How long it is valid")->check(CLI::Range(1, 1440));
  give->callback([o, &rc] { rc = answer(order_new(*o)); });
  auto* yes = order->add_subcommand("sign", "Add one person's signature");
  yes->add_option("file", o->file, "The order")->required();
  yes->add_option("--key", o->key, "The person's key file")->required();
  yes->callback([o, &rc] { rc = answer(order_sign(*o)); });
  auto* look = order->add_subcommand("check", "Read an order; with --data also against that node's mandate");
  look->add_option("file", o->file, "The order")->required();
  look->add_option("--data", o->data, "The node's data folder");
  look->callback([o, &rc] { rc = answer(order_check(*o)); });
}

}  // namespace bavn::app
