#include "app/digest_keys.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "app/process.hpp"
#include "base/catalogue.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "event/digest_key.hpp"
#include "net/json_views.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::app {

namespace {

using net::Needs;
constexpr std::size_t kMaxFile = 16U << 20U;

struct Answer {
  bool yes = false;
};
BOOST_DESCRIBE_STRUCT(Answer, (), (yes))

/// What a node says of its digests.
struct DigestsView {
  std::string trouble;  // i18n key; empty: all is well
  std::vector<std::string> stewards;
  std::vector<std::int64_t> epochs_in_force;
  std::string keys_until;
  std::uint64_t mails = 0, novel = 0, told = 0, left_out_limit = 0, left_out_full = 0, waits_for_key = 0;
  std::uint64_t bulk = 0, calendar = 0, automatic = 0, learning = 0, not_public = 0;
};
BOOST_DESCRIBE_STRUCT(DigestsView, (),
                      (trouble, stewards, epochs_in_force, keys_until, mails, novel, told, left_out_limit,
                       left_out_full, waits_for_key, bulk, calendar, automatic, learning, not_public))

struct Installed {
  std::int64_t keys = 0;
};
BOOST_DESCRIBE_STRUCT(Installed, (), (keys))

Result<MunicipalityId> municipality_of(const net::Request& q, const std::vector<MunicipalityId>& own) {
  const auto asked = q.asked("municipality");
  if (!asked) return own.front();
  const auto all = tenants::Municipalities::all();
  BAVN_TRY(const auto* m, all.named(*asked));
  if (std::find(own.begin(), own.end(), m->id) == own.end())
    return fail(Code::not_found, "this node does not serve this municipality", std::string(*asked));
  return m->id;
}

struct Options {
  std::string data, file, name, as, nodes, from, out, request, municipality;
  std::vector<std::string> stewards;
  std::vector<std::int64_t> epochs;
  int periods = 3, reserves = 2;
  bool json = false;
};

int answer(const Result<std::string>& done) {
  if (!done) return failed(done.error());
  fmt::print("{}", *done);
  return kDone;
}

Result<event::Steward> steward_file(Files& files, const std::string& path) {
  BAVN_TRY(const auto text, read_file(files, path, 4096));
  auto steward = event::Steward::parse(text);
  if (!steward) steward.error().where = path;
  return steward;
}

std::string day_of(std::int64_t us) {
  return format_time(from_micros(us)).substr(0, 10);
}

// ---- the stewards' own machines ---------------------------------------------------------------------------------------------------------

Result<std::string> make_steward(const Options& o) {
  DiskFiles files;
  for (const auto* ending : {".sign", ".open", ".steward"})
    if (files.exists(o.file + ending))
      return fail(Code::conflict, "there is a file of this name; a key is never overwritten", o.file + ending);
  std::string name(trim(o.name));
  if (name.empty() || name.size() > 100 || name.find_first_of("\n\r") != std::string::npos || !is_valid_utf8(name))
    return fail(Code::bad_input, "a steward is named by one line of at most 100 bytes");
  const auto sign = SigningKey::random();
  const auto open = SealKey::random();
  BAVN_CHECK(sign.save(files, o.file + ".sign", name));
  BAVN_CHECK(open.save(files, o.file + ".open", name));
  const event::Steward steward{name, sign.public_key(), open.address()};
  BAVN_CHECK(replace_file(files, o.file + ".steward", steward.text()));
  return fmt::format(
      "{0}.sign, {0}.open  the keys: only {1} may have these files\n{0}.steward       the public half: hand this one "
      "out\n"
      "fingerprint         {2}\n",
      o.file, name, sign.public_key().fingerprint());
}

Result<event::StewardsKeys> keys_file(Files& files, const std::string& path) {
  BAVN_TRY(const auto text, read_file(files, path, kMaxFile));
  auto keys = event::StewardsKeys::parse(text);
  if (!keys) keys.error().where = path;
  return keys;
}

Result<std::string> make(const Options& o) {
  DiskFiles files;
  event::StewardsKeys keys;
  if (files.exists(o.file)) {
    BAVN_TRY(keys, keys_file(files, o.file));
  }
  std::vector<event::Steward> stewards;
  for (const auto& path : o.stewards) {
    BAVN_TRY(stewards.emplace_back(), steward_file(files, path));
  }
  if (stewards.empty())
    for (const auto& text : keys.stewards) {
      BAVN_TRY(stewards.emplace_back(), event::Steward::parse(text));
    }
  event::MakeKeys want{.from = system_now(), .periods = o.periods, .reserves = o.reserves};
  // the next period begins where the last one of the file gives way
  for (const auto& e : keys.epochs)
    if (!e.replaces) want.from = std::max(want.from, from_micros(e.until_us) - want.overlap);
  if (!o.from.empty()) {
    const auto t = parse_time(o.from);
    if (!t) return fail(Code::bad_input, "--from is a day like 2024-10-01", o.from);
    want.from = *t;
  }
  BAVN_CHECK(event::make_epochs(keys, stewards, want));
  BAVN_CHECK(replace_file(files, o.file, keys.text()));
  std::string out = fmt::format(
      "{}: {} periods from {}, {} reserves; epochs {} to {}. Copy it to every steward, then: bavn digest-keys seal\n",
      o.file, o.periods, format_time(want.from).substr(0, 10), o.reserves,
      keys.epochs[keys.epochs.size() - static_cast<std::size_t>(o.periods + o.reserves)].epoch,
      keys.epochs.back().epoch);
  if (o.reserves == 0)
    out +=
        "note: a reserve replaces the epochs below it only. Once these periods are with the nodes, earlier reserves "
        "are "
        "of no use.\n";
  return out;
}

Result<std::string> show(const Options& o) {
  DiskFiles files;
  BAVN_TRY(const auto keys, keys_file(files, o.file));
  std::string out;
  for (const auto& text : keys.stewards) {
    BAVN_TRY(const auto s, event::Steward::parse(text));
    out += fmt::format("steward  {}  {}\n", s.sign.fingerprint(), s.name);
  }
  for (const auto& e : keys.epochs)
    out += e.replaces
               ? fmt::format("{:>5}  reserve, {} days from when a node is revoked  check {}\n", e.epoch,
                             e.until_us / 86'400'000'000, e.check)
               : fmt::format("{:>5}  {} to {}  check {}\n", e.epoch, day_of(e.from_us), day_of(e.until_us), e.check);
  return out;
}

Result<std::string> seal(const Options& o) {
  DiskFiles files;
  BAVN_TRY(const auto keys, keys_file(files, o.file));
  BAVN_TRY(const auto sign, SigningKey::load(files, o.as + ".sign"));
  BAVN_TRY(const auto open, SealKey::load(files, o.as + ".open"));
  BAVN_TRY(const auto text, read_file(files, o.nodes, kMaxFile));
  auto nodes = net::from_json<std::vector<correlate::NodeAddress>>(text, net::Unknown::ignore);
  if (!nodes) {
    nodes.error().where = o.nodes + nodes.error().where;
    return std::unexpected(std::move(nodes.error()));
  }
  std::vector<std::pair<std::string, SealAddress>> to;  // one for each node, whatever it serves
  for (const auto& n : *nodes) {
    BAVN_TRY(const auto address, SealAddress::parse(n.address));
    if (std::none_of(to.begin(), to.end(), [&](const auto& t) { return t.second == address; }))
      to.emplace_back(n.node, address);
  }
  if (to.empty()) return fail(Code::bad_input, "there is no node in this list", o.nodes);
  std::vector<event::SealedKey> sealed;
  std::size_t epochs = 0;
  for (const auto& e : keys.epochs) {
    if (!o.epochs.empty() ? std::find(o.epochs.begin(), o.epochs.end(), e.epoch) == o.epochs.end()
                          : !e.replaces && e.until_us <= micros(system_now()))
      continue;  // what is over is of no use to anybody
    BAVN_TRY(const auto key, event::open_epoch(keys, e.epoch, open));
    for (const auto& [name, address] : to) sealed.push_back(event::seal_to_node(key, address, sign));
    ++epochs;
  }
  if (sealed.empty())
    return fail(Code::not_found, "none of these epochs is in the file, or all are over; make new ones", o.file);
  BAVN_CHECK(replace_file(files, o.out, net::to_json(sealed)));
  std::string out = fmt::format(
      "{}: {} epochs sealed to {} nodes, signed by {}\nCompare some addresses with the municipalities, by telephone:\n",
      o.out, epochs, to.size(), sign.public_key().fingerprint());
  for (const auto& [name, address] : to) out += fmt::format("  {:<30} {}\n", name, address.text());
  return out;
}

Result<std::string> pin(const Options& o) {
  DiskFiles files;
  std::string out;
  const std::string folder = o.data + "/stewards";
  BAVN_CHECK(files.make_dirs(folder));
  for (const auto& path : o.stewards) {
    BAVN_TRY(const auto steward, steward_file(files, path));
    const std::string at = fmt::format("{}/{}.steward", folder, steward.sign.fingerprint().substr(0, 16));
    BAVN_CHECK(replace_file(files, at, steward.text()));
    out += fmt::format("{}  {}  {}\n", at, steward.sign.fingerprint(), steward.name);
  }
  return out +
         "Compare the fingerprints with the stewards themselves. The node believes them after its next start; delete a "
         "file to unpin.\n";
}

// ---- the hub's owner --------------------------------------------------------------------------------------------------------------------

Result<std::string> install(const Options& o) {
  DiskFiles files;
  BAVN_TRY(auto text, read_file(files, o.file, kMaxFile));
  BAVN_TRY(const auto reply, call_control(Folder(o.data), net::Method::post, "/api/digest-keys", std::move(text)));
  BAVN_TRY(const auto done, net::from_json<Installed>(reply, net::Unknown::ignore));
  return fmt::format("{} sealed keys are new; periods are on their way, reserves wait until a node is revoked\n",
                     done.keys);
}

Result<std::string> nodes(const Options& o) {
  BAVN_TRY(auto text, call_control(Folder(o.data), net::Method::get, "/api/digest-keys/nodes"));
  return text + "\n";
}

Result<std::string> standing(const Options& o) {
  BAVN_TRY(const auto text, call_control(Folder(o.data), net::Method::get, "/api/digest-keys"));
  if (o.json) return text + "\n";
  BAVN_TRY(const auto document, net::JsonDocument::parse(text));
  const net::JsonValue epochs = document.root()["epochs"];
  if (epochs.size() == 0)
    return std::string("no keys: nodes learn, and tell nothing. docs/digests.md says how stewards make them\n");
  std::string out;
  const auto day = [](net::JsonValue v) { return std::string(v.text_or("").substr(0, 10)); };
  for (const net::JsonValue k : epochs) {
    const std::string when = !k["reserve"].boolean().value_or(false) ? day(k["from"]) + " to " + day(k["until"])
                             : !k["released_at"]                     ? std::string("reserve, on the shelf")
                                                                     : "reserve, in use since " + day(k["released_at"]);
    out += fmt::format("{:>5}  {:<36} sealed to {} nodes, sent to {}  check {}\n", k["epoch"].integer().value_or(0),
                       when, k["nodes"].integer().value_or(0), k["sent"].integer().value_or(0), k["check"].text_or(""));
  }
  return out;
}

// ---- a municipality's node --------------------------------------------------------------------------------------------------------------

std::string of_query(const Options& o) {
  return o.municipality.empty() ? std::string() : "?municipality=" + net::percent_encoded(o.municipality);
}

Result<std::string> digests(const Options& o) {
  BAVN_TRY(const auto text, call_control(Folder(o.data), net::Method::get, "/api/digests"));
  if (o.json) return text + "\n";
  BAVN_TRY(const auto v, net::from_json<DigestsView>(text, net::Unknown::ignore));
  std::string out = v.trouble.empty() ? fmt::format("keys until {}, epochs in force: {}\n", v.keys_until.substr(0, 10),
                                                    fmt::join(v.epochs_in_force, ", "))
                                      : fmt::format("PROBLEM {}\n", Catalogue::embedded().say(Language::en, v.trouble));
  for (const auto& s : v.stewards) out += fmt::format("steward pinned  {}\n", s);
  out += fmt::format(
      "since the start: {} mails, {} new things, {} digests told, {} over the day's limit, {} not followed for lack of "
      "room, {} wait "
      "for a key\nleft out: {} of bulk senders, {} meeting links, {} automatic mails, {} while learning, {} not "
      "public\n",
      v.mails, v.novel, v.told, v.left_out_limit, v.left_out_full, v.waits_for_key, v.bulk, v.calendar, v.automatic,
      v.learning, v.not_public);
  return out;
}

Result<std::string> asked(const Options& o) {
  BAVN_TRY(const auto text, call_control(Folder(o.data), net::Method::get, "/api/reveals" + of_query(o)));
  if (o.json) return text + "\n";
  BAVN_TRY(const auto rows, net::from_json<std::vector<notice::AskedReveal>>(text, net::Unknown::ignore));
  std::string out;
  for (const auto& r : rows) {
    const auto waited = r.answered_us > r.asked_us ? (r.answered_us - r.asked_us) / 60'000'000 : 0;
    out += fmt::format(
        "{:<20} {} {:<9} {:<40} {} mails when asked{}{}\n", r.request,
        format_time(from_micros(r.asked_us / 1'000'000 * 1'000'000)), r.state, r.what, r.mails,
        r.mails_since > 0 ? fmt::format(", {} more since", r.mails_since) : "",
        r.state == "late" ? fmt::format(" (nobody said yes in {} minutes: the hub went on without us)", waited) : "");
  }
  return out.empty() ? std::string("the hub has asked nothing\n") : out;
}

Result<std::string> say(const Options& o, bool yes) {
  BAVN_CHECK(call_control(Folder(o.data), net::Method::post,
                          "/api/reveals/" + net::percent_encoded(o.request) + of_query(o),
                          yes ? R"({"yes":true})" : R"({"yes":false})"));
  return std::string("answered\n");
}

}  // namespace

void add_digest_routes(net::Router& control, Runtime& runtime, store::State& state, notice::DigestDesk& desk,
                       std::vector<MunicipalityId> municipalities) {
  control.get("/api/digests", Needs::operate, [&runtime, &desk](const net::Request&) -> net::Reply {
    const auto keys = desk.keyring().keys();
    const auto c = desk.counts();
    DigestsView v;
    v.trouble = desk.trouble(runtime.now());
    for (const auto& s : desk.keyring().stewards()) v.stewards.push_back(s.name + " " + s.sign.fingerprint());
    for (const auto* k : keys->in_force(runtime.now())) v.epochs_in_force.push_back(k->epoch);
    if (!keys->empty()) v.keys_until = format_time(keys->lasts_until());
    v.mails = c.mails;
    v.novel = c.novel;
    v.told = c.told;
    v.left_out_limit = c.left_out_limit;
    v.left_out_full = c.left_out_full;
    v.waits_for_key = c.without_key;
    v.bulk = c.bulk;
    v.calendar = c.calendar;
    v.automatic = c.automatic;
    v.learning = c.learning;
    v.not_public = c.not_public;
    return net::json(net::to_json(v));
  });
  control.get("/api/reveals", Needs::alert_read, [&state, municipalities](const net::Request& q) -> net::Reply {
    const auto of = municipality_of(q, municipalities);
    if (!of) return net::problem(of.error());
    const auto rows = state.read([&](store::Reader& db) { return notice::DigestReveals::list(db, *of); });
    return rows ? net::json(net::to_json(*rows)) : net::problem(rows.error());
  });
  control.post("/api/reveals/{request}", Needs::alert_write,
               [&state, &desk, municipalities](const net::Request& q) -> net::Reply {
                 const auto of = municipality_of(q, municipalities);
                 if (!of) return net::problem(of.error());
                 const auto said = net::from_json<Answer>(q.body, net::Unknown::refuse);
                 if (!said) return net::problem(said.error());
                 const auto ok = state.write_now([&](store::Tx& tx) {
                   return desk.reveals().answer(tx, *of, q.param("request"), said->yes, q.scope.who());
                 });
                 if (!ok) return net::problem(ok.error());
                 net::Reply reply;
                 reply.status = 204;
                 return reply;
               });
}

void add_digest_commands(CLI::App& app, int& rc) {
  const auto o = std::make_shared<Options>();
  auto* keys = app.add_subcommand(
      "digest-keys", "Keys of digests: made by stewards outside the CERT, carried by the hub (docs/digests.md)");
  keys->require_subcommand(1);
  const auto leaf = [&](CLI::App* parent, const char* name, const char* help,
                        std::function<Result<std::string>(const Options&)> run) {
    auto* sub = parent->add_subcommand(name, help);
    sub->callback([o, &rc, run] { rc = answer(run(*o)); });
    return sub;
  };
  const auto with_data = [&](CLI::App* sub, const char* whose) {
    sub->add_option("--data", o->data, whose)->required();
  };

  auto* steward = leaf(keys, "steward", "A steward's two keys and their public half", make_steward);
  steward->add_option("file", o->file, "FILE.sign and FILE.open are secret, FILE.steward is handed out")->required();
  steward->add_option("--name", o->name, "Whose keys they are")->required();
  steward->footer("Example: bavn digest-keys steward anna --name \"Anna Example\"");
  auto* made = leaf(keys, "make", "Make keys ahead, sealed to every steward; again: adds to the file", make);
  made->add_option("file", o->file, "The stewards' file of keys")->required();
  made->add_option("--steward", o->stewards,
                   "Public file of a steward, at least two (repeatable); those of the file when left out")
      ->allow_extra_args(false);
  made->add_option("--from", o->from,
                   "First day of the first period; when the last one of the file gives way, else now");
  made->add_option("--periods", o->periods,
                   "Periods of 30 days, each 48 hours longer so that two overlap; 3 when not given")
      ->check(CLI::Range(0, 12));
  made->add_option("--reserves", o->reserves, "Keys that replace all others when a node is revoked; 2 when not given")
      ->check(CLI::Range(0, 12));
  made->footer("Example: bavn digest-keys make keys.txt --steward anna.steward --steward bo.steward --from 2024-10-01");
  leaf(keys, "show", "What is in the stewards' file", show)
      ->add_option("file", o->file, "The stewards' file of keys")
      ->required();
  auto* sealed = leaf(keys, "seal", "Seal the keys to each node, and sign", seal);
  sealed->add_option("file", o->file, "The stewards' file of keys")->required();
  sealed->add_option("--as", o->as, "The steward who seals: FILE of `bavn digest-keys steward`")->required();
  sealed->add_option("--nodes", o->nodes, "What `bavn digest-keys nodes` printed at the hub")->required();
  sealed->add_option("--epoch", o->epochs, "Only this epoch (repeatable); all that are not over when left out")
      ->allow_extra_args(false);
  sealed->add_option("--out", o->out, "Where the sealed keys go; hand them to the hub")->required();
  sealed->footer("Example: bavn digest-keys seal keys.txt --as anna --nodes nodes.json --out sealed.json");
  auto* pinned = leaf(keys, "pin", "At a node: believe these stewards", pin);
  with_data(pinned, "The node's data folder");
  pinned->add_option("file", o->stewards, "Public files of stewards")->required();
  auto* listed = leaf(keys, "nodes", "At the hub: where stewards seal to", nodes);
  with_data(listed, "The hub's data folder");
  auto* installed =
      leaf(keys, "install", "At the hub: take sealed keys, send periods to their nodes, keep reserves", install);
  with_data(installed, "The hub's data folder");
  installed->add_option("file", o->file, "What `bavn digest-keys seal` wrote")->required();
  auto* status = leaf(keys, "status", "At the hub: which keys went to how many nodes", standing);
  with_data(status, "The hub's data folder");
  status->add_flag("--json", o->json, "JSON on stdout");

  auto* node = app.add_subcommand("digests",
                                  "What a node tells of new things, and what the hub asked of them (docs/digests.md)");
  node->require_subcommand(1);
  const auto at_node = [&](CLI::App* sub) {
    with_data(sub, "The node's data folder");
    return sub;
  };
  at_node(leaf(node, "status", "Keys, what was told and what was left out", digests))
      ->add_flag("--json", o->json, "JSON on stdout");
  auto* list = at_node(leaf(node, "asked", "What the hub asked, what it was told, and what a no cost", asked));
  list->add_option("--municipality", o->municipality, "Name or code; the node's first when left out");
  list->add_flag("--json", o->json, "JSON on stdout");
  for (const bool yes : {true, false}) {
    auto* word = at_node(leaf(node, yes ? "yes" : "no", yes ? "Show the hub what it asked for" : "Do not show it",
                              [yes](const Options& x) { return say(x, yes); }));
    word->add_option("request", o->request, "As `bavn digests asked` lists it")->required();
    word->add_option("--municipality", o->municipality, "Name or code; the node's first when left out");
  }
  node->footer("Example: bavn digests asked --data /var/lib/bavn-node");
}

}  // namespace bavn::app
