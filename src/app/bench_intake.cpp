// bavn bench intake: a node's pipeline behind the real HTTP server in a process of its own (so that its memory and CPU are its own), and
// clients on loopback. First as fast as it takes, each answer after fdatasync; then `overload` times that, to see that memory stays
// bounded and that offered = accepted + refused. Limits are measured in the same run: bare durable writes, reading and matching alone,
// HTTP alone.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/json_writer.hpp"
#include "formats/source.hpp"
#include "live/gateways/gateways.hpp"
#include "live/intake.hpp"
#include "live/pipeline.hpp"
#include "net/server.hpp"

namespace bavn::app {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kEventsPerRequest = 500;
constexpr std::size_t kBodies = 96;
constexpr unsigned kMunicipality = 101;
// What the process may hold: the intake's queue, the index of the open segment twice (one is being sealed), caches of history, rules,
// correlations, buffers of connections.
constexpr double kBudgetMb = 64 + 2 * 48 + 32 + 64 + 194;
constexpr double kIdsMb = 64;  // beside it, of a million ids of records, while their table grows

double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

double cpu_seconds(int who = RUSAGE_SELF) {
  rusage u{};
  getrusage(who, &u);
  const auto s = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return s(u.ru_utime) + s(u.ru_stime);
}

double peak_rss_mb() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  return 0;
}

/// Made-up records of three kinds, 500 to 900 bytes each; about one in a thousand is something a rule knows.
std::vector<std::string> made_up_bodies() {
  std::mt19937_64 random(7);
  std::vector<std::string> bodies(kBodies);
  const auto pick = [&](std::uint64_t n) { return random() % n; };
  std::int64_t at = 1'790'000'000'000'000;  // 2026-09-21
  for (std::string& body : bodies)
    for (std::size_t n = 0; n < kEventsPerRequest; ++n) {
      at += 1500;
      const std::string time = format_time(from_micros(at));
      const std::string user = fmt::format("person{}", pick(5000)),
                        id = fmt::format("{:016x}{:016x}", random(), random());
      switch (pick(3)) {
        case 0: {
          constexpr std::string_view kOperations[] = {"MailItemsAccessed", "FileAccessed", "FileModified",
                                                      "UserLoggedIn", "Send"};
          const std::string_view operation =
              pick(1000) == 0 ? "New-InboxRule" : kOperations[pick(std::size(kOperations))];
          body += fmt::format(
              R"j({{"CreationTime":"{}","Id":"{}","Operation":"{}","OrganizationId":"10000000-0000-4000-8000-000000000001","RecordType":50,"ResultStatus":"Succeeded","UserKey":"{}","UserType":0,"Version":1,"Workload":"Exchange","ClientIP":"192.0.2.{}","UserId":"{}@kommune.example.org","AppId":"4765445b-32c6-49b0-83e6-1d93765276ca","ClientInfoString":"Client=OWA;Action=ViaProxy","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,"MailboxOwnerUPN":"{}@kommune.example.org","OrganizationName":"kommune.example.org","OriginatingServer":"DB9PR01MB0001 (15.20.4200.000)","OperationProperties":[{{"Name":"MailAccessType","Value":"Bind"}},{{"Name":"IsThrottled","Value":"False"}}],"Folders":[{{"Path":"\\Inbox","FolderItems":[{{"InternetMessageId":"<{}@mail.example.net>"}}]}}]}})j",
              time.substr(0, 19), id, operation, user, pick(250), user, user, id);
          break;
        }
        case 1:
          body += fmt::format(
              R"j({{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Computer":"PC-{}.kommune.example.org","SystemTime":"{}","EventRecordID":{},"Provider_Name":"Microsoft-Windows-Sysmon","UtcTime":"{}","ProcessGuid":"{{{}}}","ProcessId":{},"Image":"C:\\Program Files\\Microsoft Office\\root\\Office16\\{}.EXE","FileVersion":"16.0.1.{}","Description":"Microsoft Office","CommandLine":"\"C:\\Program Files\\Microsoft Office\\root\\Office16\\APP.EXE\" /n \"C:\\Users\\{}\\Documents\\case {}.docx\"","CurrentDirectory":"C:\\Users\\{}\\","User":"KOMMUNE\\{}","IntegrityLevel":"Medium","Hashes":"SHA256={}{}","ParentImage":"C:\\Windows\\explorer.exe","ParentCommandLine":"C:\\Windows\\Explorer.EXE"}})j",
              pick(3000), time, pick(100'000'000), time, id, pick(60'000), pick(2) ? "WINWORD" : "EXCEL", pick(50),
              user, pick(100'000), user, user, id, id);
          break;
        default:
          body += fmt::format(
              R"j({{"timestamp":"{}","flow_id":{},"in_iface":"eth0","event_type":"http","src_ip":"10.20.{}.{}","src_port":{},"dest_ip":"198.51.100.{}","dest_port":80,"proto":"TCP","tx_id":{},"community_id":"1:{}","http":{{"hostname":"host{}.example.net","url":"/articles/{}/page-{}.html","http_user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) made-up/1.0","http_content_type":"text/html","http_refer":"https://start.example.org/","http_method":"GET","protocol":"HTTP/1.1","status":200,"length":{}}},"app_proto":"http","flow":{{"pkts_toserver":{},"pkts_toclient":{},"bytes_toserver":{},"bytes_toclient":{},"start":"{}"}}}})j",
              time, pick(1ULL << 50U), pick(16), pick(250), 1024 + pick(60'000), pick(250), pick(100), id.substr(0, 24),
              pick(20'000), pick(100'000), pick(50), pick(100'000), pick(30), pick(50), pick(9000), pick(900'000),
              time);
      }
      body += '\n';
    }
  return bodies;
}

Result<std::vector<std::string>> bodies_of(const std::vector<std::string>& paths) {
  if (paths.empty()) return made_up_bodies();
  unsigned missing = 0;
  std::vector<std::string> bodies(1);
  std::size_t lines = 0, bytes = 0;
  for (const std::string& path : files_below(paths, missing)) {
    BAVN_TRY(auto source, formats::Source::open(path, {}));
    event::EventBatch batch;
    while (!source->done() && bytes < (256U << 20U)) {
      BAVN_TRY(const auto chunk, source->next(batch));
      for (std::size_t at = chunk.from; at < chunk.to;) {
        const std::size_t end = std::min(batch.raw.find('\n', at), chunk.to);
        if (lines == kEventsPerRequest || bodies.back().size() > (1U << 20U)) {
          bodies.emplace_back();
          lines = 0;
        }
        bodies.back().append(batch.raw, at, end - at);
        bodies.back() += '\n';
        ++lines;
        bytes += end - at;
        at = end + 1;
      }
    }
  }
  if (bytes == 0) return fail(Code::bad_input, "there are no events in these files");
  return bodies;
}

// ---- the node, in its own process

/// Facts are read, joined and fed, as in a node that watches; what a watcher makes of them is not measured here.
class Drain final : public notice::FactWatcher {
 public:
  void feed(std::span<const event::Fact>, Instant, bool) override {}
  store::Unit take() override { return nullptr; }
  Result<void> save(std::string&) const override { return {}; }
  Result<void> load(std::string_view) override { return {}; }
  Duration memory() const override { return {}; }
};

/// Answers "?" with one line of figures; ends when the pipe does.
int serve(int in, int out, const std::string& folder, const BenchOptions& options) {
  Threads runtime;
  const auto die = [&](const Error& e) {
    const std::string text = "! " + to_string(e) + "\n";
    return ::write(out, text.data(), text.size()) < 0 ? kFailed : kFailed;
  };
  auto state = store::State::open(runtime, {.path = folder + "/state.db", .schema = {"core", "node"}});
  if (!state) return die(state.error());
  live::Options lo;
  lo.folder = folder;
  lo.engine.rules = options.rules;
  lo.engine.builtin_rules = options.rules.empty();
  lo.workers = std::max(1U, std::thread::hardware_concurrency());
  if (options.facts) lo.watcher = std::make_shared<Drain>();
  auto pipeline = live::Pipeline::open(runtime, **state, alerts::AlertBook({}), lo);
  if (!pipeline) return die(pipeline.error());
  auto tokens = live::IntakeTokens::open(**state);
  if (!tokens) return die(tokens.error());
  auto token = (*tokens)->issue(event::Scope::local_owner(), "bench", MunicipalityId{kMunicipality}, TenantId{1}, "");
  if (!token) return die(token.error());
  net::Router router;
  router.authenticate([&](const net::Request& q) { return (*tokens)->authenticate(q); });
  live::add_intake_routes(router, **tokens, **pipeline);
  auto ids = live::RecordIds::open(runtime, (*pipeline)->history(), {.folder = folder});
  if (!ids) return die(ids.error());
  auto book = std::make_unique<live::GatewayBook>(runtime, **state);
  const live::Gateways gateways{runtime, **tokens, **pipeline, **ids, *book, {}};
  live::add_elastic_routes(router, gateways);
  live::add_hec_routes(router, gateways);
  net::RouteOptions null_options;
  null_options.max_body = live::kMostIntakeBody;
  router.post(
      "/null", net::Needs::event_write, [](const net::Request& q) { return net::text(std::to_string(q.body.size())); },
      null_options);
  net::ServerOptions so;
  so.handlers = runtime.queue({.name = "http", .threads = 1, .limit = 10'000});
  auto server = net::Server::start(runtime, router, so);
  if (!server) return die(server.error());
  const std::string hello = fmt::format("{} {}\n", (*server)->port(), *token);
  if (::write(out, hello.data(), hello.size()) < 0) return kFailed;
  for (char c = 0; ::read(in, &c, 1) == 1;) {
    const live::Stats s = (*pipeline)->stats();
    const auto stored = (*pipeline)->history().stats();
    const std::string line =
        fmt::format("{} {} {} {} {} {} {} {} {}\n", cpu_seconds(), peak_rss_mb(), s.records, s.findings,
                    stored.segment_bytes, stored.records, (*pipeline)->idle() ? 1 : 0, s.behind ? 1 : 0, s.facts);
    if (::write(out, line.data(), line.size()) < 0) break;
  }
  server->reset();
  pipeline->reset();
  book.reset();
  state->reset();
  return kDone;
}

struct Figures {
  double cpu = 0, peak_mb = 0;
  std::uint64_t records = 0, findings = 0, disk = 0, stored = 0, facts = 0;
  int idle = 0, behind = 0;
};

class Node {
 public:
  static Result<std::unique_ptr<Node>> start(const std::string& folder, const BenchOptions& options) {
    int to[2], from[2];
    if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0)
      return fail(Code::unavailable, "cannot make a pipe");
    std::fflush(nullptr);
    const pid_t child = ::fork();  // nothing of this process runs on another thread yet
    if (child < 0) return fail(Code::unavailable, "cannot start a process");
    if (child == 0) {
      ::close(to[1]);
      ::close(from[0]);
      const int rc = serve(to[0], from[1], folder, options);
      std::_Exit(rc);
    }
    ::close(to[0]);
    ::close(from[1]);
    auto node = std::unique_ptr<Node>(new Node(child, to[1], from[0]));
    const std::string hello = node->line();
    const std::size_t space = hello.find(' ');
    if (hello.empty() || hello[0] == '!')
      return fail(Code::unavailable, hello.empty() ? "the node ended" : hello.substr(2));
    node->port = static_cast<std::uint16_t>(std::stoul(hello.substr(0, space)));
    node->token = hello.substr(space + 1);
    return node;
  }
  ~Node() {
    ::close(to_);
    int status = 0;
    ::waitpid(child_, &status, 0);
    ::close(from_);
  }
  Figures figures() {
    Figures f;
    if (::write(to_, "?", 1) != 1) return f;
    const std::string text = line();
    (void)std::sscanf(text.c_str(), "%lf %lf %lu %lu %lu %lu %d %d %lu", &f.cpu, &f.peak_mb, &f.records, &f.findings,
                      &f.disk, &f.stored, &f.idle, &f.behind, &f.facts);
    return f;
  }
  std::uint16_t port = 0;
  std::string token;

 private:
  Node(pid_t child, int to, int from) : child_(child), to_(to), from_(from) {}
  std::string line() {
    std::string out;
    for (char c = 0; ::read(from_, &c, 1) == 1 && c != '\n';) out += c;
    return out;
  }
  pid_t child_;
  int to_, from_;
};

// ---- clients

class Connection {
 public:
  explicit Connection(std::uint16_t port) : port_(port) {}
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The status, 0 when the connection broke. wait: the body is sent only when the server asks for it.
  int post(const std::string& head, const std::string& body, bool wait, std::string& reply) {
    reply.clear();
    if (fd_ < 0 && !open()) return 0;
    if (!send(head)) return 0;
    std::string got;
    if (wait) {
      if (!read_head(got)) return 0;
      const int status = status_of(got);
      if (status != 100) {
        close();  // the body was not sent: this connection is not used again
        return status;
      }
      got.clear();
    }
    if (!send(body) || !read_head(got)) return 0;
    const std::size_t end = got.find("\r\n\r\n") + 4;
    const std::size_t at = got.find("Content-Length: ");
    const std::size_t length = at < end ? std::strtoul(got.c_str() + at + 16, nullptr, 10) : 0;
    while (got.size() < end + length)
      if (!more(got)) return 0;
    reply.assign(got, end, length);
    if (got.find("Connection: close") < end) close();
    return status_of(got);
  }

 private:
  bool open() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port_);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0) return true;
    close();
    return false;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) {
        close();
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool more(std::string& got) {
    char block[4096];
    const ssize_t n = ::recv(fd_, block, sizeof block, 0);
    if (n <= 0) {
      close();
      return false;
    }
    got.append(block, static_cast<std::size_t>(n));
    return true;
  }
  bool read_head(std::string& got) {
    while (got.find("\r\n\r\n") == std::string::npos)
      if (!more(got)) return false;
    return true;
  }
  static int status_of(std::string_view head) {
    int status = 0;
    if (head.size() > 12) std::from_chars(head.data() + 9, head.data() + 12, status);
    return status;
  }
  std::uint16_t port_;
  int fd_ = -1;
};

std::uint64_t number_after(const std::string& text, std::string_view name) {
  const std::size_t at = text.find(name);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + name.size(), nullptr, 10);
}

struct Load {
  std::uint64_t requests = 0, offered = 0, accepted = 0, refused = 0, refused_requests = 0, bytes = 0, other = 0;
  double seconds = 0;
  std::vector<double> latencies_ms;
  double p(double q) {
    if (latencies_ms.empty()) return 0;
    std::sort(latencies_ms.begin(), latencies_ms.end());
    return latencies_ms[static_cast<std::size_t>(q * static_cast<double>(latencies_ms.size() - 1))];
  }
  /// What another client did; its time ran beside ours or after it: the caller knows.
  void add(const Load& l) {
    requests += l.requests;
    offered += l.offered;
    accepted += l.accepted;
    refused += l.refused;
    refused_requests += l.refused_requests;
    bytes += l.bytes;
    other += l.other;
    latencies_ms.insert(latencies_ms.end(), l.latencies_ms.begin(), l.latencies_ms.end());
  }
};

/// How the same records travel.
struct Way {
  std::string path = "/intake/v1/bench";
  std::vector<std::string> bodies;
  std::vector<std::uint64_t> records;
  std::string taken = "\"accepted\":";  // a number behind it, or (of bulk) as often as an item was stored
  bool items = false;
  std::uint64_t drives = 0;
  std::vector<std::vector<std::size_t>> ids;  // places in each body where an id is to be written before it is sent
};
constexpr std::size_t kIdLength = 16;

Way plain_way(const std::string& path, const std::vector<std::string>& bodies) {
  Way way;
  way.path = path;
  way.bodies = bodies;
  for (const std::string& b : bodies)
    way.records.push_back(static_cast<std::uint64_t>(std::count(b.begin(), b.end(), '\n')));
  return way;
}

Way way_of(const std::string& via, const std::vector<std::string>& bodies) {
  Way way = plain_way("", bodies);
  const bool hec = via == "hec", ids = via == "bulk_ids";
  way.path = hec ? "/services/collector/event" : "/_bulk";
  way.items = !hec;
  way.taken = hec ? "" : "\"status\":201";
  for (std::string& body : way.bodies) {
    std::string out;
    std::vector<std::size_t> places;
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t end = body.find('\n', at);
      const std::string_view line = std::string_view(body).substr(at, end - at);
      at = end + 1;
      if (hec) {
        out += R"({"time":1790000000,"host":"app1.example.org","sourcetype":"made_up","event":)";
        out.append(line).append("}\n");
        continue;
      }
      out += R"({"create":{"_index":"bench")";
      if (ids) {
        out += R"(,"_id":")";
        places.push_back(out.size());
        out.append(kIdLength, '0').append("\"");
      }
      out.append("}}\n").append(line).append("\n");
    }
    body = std::move(out);
    way.ids.push_back(std::move(places));
  }
  if (!ids) way.ids.clear();
  return way;
}

std::uint64_t times_in(const std::string& text, std::string_view piece) {
  std::uint64_t n = 0;
  for (std::size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + piece.size())) ++n;
  return n;
}

/// requests_per_second 0: as fast as answers come. Every record of a request that was not answered with 200 counts as refused.
Load drive(const Node& node, Way& way, unsigned connections, double seconds, double requests_per_second, bool wait) {
  const auto& bodies = way.bodies;
  const auto& records = way.records;
  std::vector<Load> loads(connections);
  std::atomic<std::uint64_t> next{0};
  const std::uint64_t way_start = ++way.drives << 48U;  // no id is sent twice
  const auto start = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (unsigned c = 0; c < connections; ++c)
      threads.emplace_back([&, c] {
        Load& l = loads[c];
        Connection connection(node.port);
        std::string reply, named;
        while (seconds_since(start) < seconds) {
          const std::uint64_t n = next++;
          if (requests_per_second > 0) {
            const auto due = start + std::chrono::duration_cast<Clock::duration>(
                                         std::chrono::duration<double>(static_cast<double>(n) / requests_per_second));
            if (due - start > std::chrono::duration<double>(seconds)) break;
            std::this_thread::sleep_until(due);  // the pace is the bench's input
          }
          const std::size_t b = n % bodies.size();
          const std::string head = fmt::format(
              "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: "
              "application/x-ndjson\r\n{}"
              "Content-Length: {}\r\n\r\n",
              way.path, node.token, wait ? "Expect: 100-continue\r\n" : "", bodies[b].size());
          if (!way.ids.empty()) {
            named = bodies[b];
            std::uint64_t number = way_start + n * 100'000;
            for (const std::size_t at : way.ids[b]) {
              const std::string text = fmt::format("{:016x}", number++);
              named.replace(at, kIdLength, text);
            }
          }
          const std::string& body = way.ids.empty() ? bodies[b] : named;
          const auto sent = Clock::now();
          const int status = connection.post(head, body, wait, reply);
          l.latencies_ms.push_back(seconds_since(sent) * 1000);
          ++l.requests;
          l.offered += records[b];
          if (status == 200) {
            const bool counted = reply.find("\"accepted\"") != std::string::npos;
            const std::uint64_t taken = way.items ? times_in(reply, way.taken)
                                        : counted ? number_after(reply, "\"accepted\":")
                                                  : records[b];
            l.accepted += taken;
            l.refused += counted ? number_after(reply, "\"refused\":") : records[b] - taken;
            l.bytes += bodies[b].size();
          } else {
            l.refused += records[b];
            ++l.refused_requests;
            if (status != 503 && status != 429) ++l.other;
          }
        }
      });
  }
  Load sum;
  sum.seconds = seconds_since(start);
  for (const Load& l : loads) sum.add(l);
  return sum;
}

/// MB/s of 1 MiB writes, each made durable.
Result<double> raw_disk(const std::string& folder) {
  DiskFiles disk;
  BAVN_TRY(auto file, disk.open(folder + "/raw", OpenMode::create));
  std::string block(1U << 20U, '\0');
  std::mt19937_64 random(3);
  for (std::size_t i = 0; i + 8 <= block.size(); i += 8) {
    const std::uint64_t x = random();
    std::memcpy(block.data() + i, &x, 8);
  }
  const auto start = Clock::now();
  std::uint64_t at = 0;
  while (seconds_since(start) < 1) {
    BAVN_CHECK(file->pwrite(at, block));
    BAVN_CHECK(file->sync());
    at += block.size();
  }
  const double mb = static_cast<double>(at) / 1e6 / seconds_since(start);
  file.reset();
  BAVN_CHECK(disk.unlink(folder + "/raw"));
  return mb;
}

/// Events a CPU second of reading and matching alone.
Result<double> matching(const BenchOptions& options, const std::vector<std::string>& bodies) {
  hunt::EngineOptions eo;
  eo.rules = options.rules;
  eo.builtin_rules = options.rules.empty();
  BAVN_TRY(auto engine, hunt::Engine::open(eo));
  hunt::Worker worker(*engine);
  event::EventBatch batch;
  std::uint64_t events = 0;
  double from = 0;
  for (int round = 0; round < 50; ++round) {
    for (const std::string& body : bodies) {
      const auto source = formats::Source::of_bytes(body);
      while (!source->done()) {
        BAVN_TRY(const auto chunk, source->next(batch));
        worker.process(batch, chunk);
        events += batch.records.size();
      }
    }
    if (round == 0) {  // the first makes routes and fills memos
      events = 0;
      from = cpu_seconds();
    } else if (cpu_seconds() - from > 1.5) {
      break;
    }
  }
  return static_cast<double>(events) / std::max(1e-9, cpu_seconds() - from);
}

}  // namespace

int bench_intake(const BenchOptions& options) {
  const double seconds = options.seconds != 0 ? options.seconds : 10;
  const unsigned overload = options.overload != 0 ? options.overload : 10;
  std::string folder =
      (options.directory.empty() ? std::filesystem::temp_directory_path().string() : options.directory) +
      "/bavn_intake_XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return failed({Code::unavailable, "cannot make a folder", folder});
  struct Remove {
    std::string path;
    ~Remove() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } remove{folder};
  auto node = Node::start(folder, options);
  if (!node) return failed(node.error());
  const auto bodies = bodies_of(options.events);
  if (!bodies) return failed(bodies.error());
  std::uint64_t bytes = 0, lines = 0;
  for (const std::string& b : *bodies) {
    bytes += b.size();
    lines += static_cast<std::uint64_t>(std::count(b.begin(), b.end(), '\n'));
  }
  const auto disk = raw_disk(folder);
  if (!disk) return failed(disk.error());
  const auto matched = matching(options, *bodies);
  if (!matched) return failed(matched.error());
  Way null = plain_way("/null", *bodies);
  Load http = drive(**node, null, 4, 2, 0, false);

  Way plain = plain_way("/intake/v1/bench", *bodies);
  const bool other = !options.via.empty();
  Way way = other ? way_of(options.via, *bodies) : plain;
  drive(**node, plain, 4, 2, 0, false);  // routes, memos, buffers
  if (other) drive(**node, way, 4, 1, 0, false);
  // The plain way and the other in turns, so that what else this machine does is the same to both.
  const unsigned turns = other ? 4 : 1;
  const auto add = [](Load& to, const Load& l) {
    to.add(l);
    to.seconds += l.seconds;
  };
  Load full, beside;
  Figures before = (*node)->figures(), after = before;
  double client_cpu = 0, server_cpu = 0;
  std::uint64_t findings = 0, facts = 0;
  const Figures first = before;
  for (unsigned turn = 0; turn < turns; ++turn) {
    if (other) add(beside, drive(**node, plain, 8, seconds / turns, 0, false));
    before = (*node)->figures();
    const double my_cpu = cpu_seconds();
    add(full, drive(**node, way, 8, seconds / turns, 0, false));
    after = (*node)->figures();
    client_cpu += cpu_seconds() - my_cpu;
    server_cpu += after.cpu - before.cpu;
    findings += after.findings - before.findings;
    facts += after.facts - before.facts;
  }
  const double rate = static_cast<double>(full.accepted) / full.seconds;
  const double plain_rate = other ? static_cast<double>(beside.accepted) / beside.seconds : rate;

  const double per_request = static_cast<double>(lines) / static_cast<double>(bodies->size());
  Load over = drive(**node, way, 400, seconds, rate * overload / per_request, true);
  const auto waiting = Clock::now();
  Figures last = (*node)->figures();
  while (last.idle == 0 && seconds_since(waiting) < 60) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    last = (*node)->figures();
  }
  const double budget = kBudgetMb + (options.via == "bulk_ids" ? kIdsMb : 0);
  const std::uint64_t offered = full.offered + over.offered, accepted = full.accepted + over.accepted,
                      refused = full.refused + over.refused;
  // What the clients were told is what the node has.
  const std::uint64_t counted = last.records - first.records, told = accepted + beside.accepted;
  const bool whole = offered == accepted + refused && full.other + over.other == 0 && counted == told,
             bounded = last.peak_mb <= budget;
  const double offered_ratio = static_cast<double>(over.offered) / over.seconds / rate;
  if (options.json) {
    std::string out;
    JsonWriter w(out);
    w.object().member("bench", "intake").member("events_per_second", rate).member("durable", true);
    w.member("offered", offered).member("accepted", accepted).member("refused", refused);
    w.member("peak_rss_mb", last.peak_mb).member("rss_budget_mb", budget).member("bounded", bounded);
    w.member("seconds", full.seconds).member("mb_per_second", static_cast<double>(full.bytes) / 1e6 / full.seconds);
    w.member("bytes_per_event", static_cast<double>(bytes) / static_cast<double>(lines));
    w.member("events_per_request", per_request).member("p50_ms", full.p(0.5)).member("p99_ms", full.p(0.99));
    w.member("cores_used", server_cpu / full.seconds).member("client_cores_used", client_cpu / full.seconds);
    w.member("events_per_server_cpu_second", static_cast<double>(full.accepted) / std::max(1e-9, server_cpu));
    w.member("findings", findings)
        .member("facts", facts)
        .member("counted_by_node", counted)
        .member("told_to_clients", told);
    if (other)
      w.member("via", options.via)
          .member("plain_events_per_second", plain_rate)
          .member("ratio_to_plain", rate / plain_rate);
    w.member("disk_bytes", last.disk);
    w.key("overload")
        .object()
        .member("times_wanted", static_cast<std::uint64_t>(overload))
        .member("times_offered", offered_ratio);
    w.member("offered", over.offered).member("accepted", over.accepted).member("refused", over.refused);
    w.member("events_per_second", static_cast<double>(over.accepted) / over.seconds);
    w.member("refused_requests", over.refused_requests).member("other_answers", over.other).end();
    w.key("limits").object().member("raw_disk_mb_per_second", *disk).member("match_events_per_cpu_second", *matched);
    w.member("http_events_per_second", static_cast<double>(http.accepted) / http.seconds).end();
    w.key("ratios").object();
    w.member("to_match", rate / *matched);
    w.member("to_http", rate / std::max(1.0, static_cast<double>(http.accepted) / http.seconds)).end();
    w.end();
    fmt::print("{}\n", out);
  } else {
    fmt::print(
        "{:.0f} events/s durable ({:.1f} MB/s, {:.0f} bytes each), p50 {:.1f} ms, p99 {:.1f} ms; the node used {:.2f} "
        "cores, the "
        "clients {:.2f}\n",
        rate, static_cast<double>(full.bytes) / 1e6 / full.seconds,
        static_cast<double>(bytes) / static_cast<double>(lines), full.p(0.5), full.p(0.99), server_cpu / full.seconds,
        client_cpu / full.seconds);
    fmt::print("{:.1f} x that offered: {} offered = {} accepted + {} refused ({:.0f} events/s accepted)\n",
               offered_ratio, over.offered, over.accepted, over.refused,
               static_cast<double>(over.accepted) / over.seconds);
    if (options.facts) fmt::print("{:.0f} facts/s read, joined and fed\n", static_cast<double>(facts) / full.seconds);
    if (other)
      fmt::print("via {}: {:.2f} of the plain way's {:.0f} events/s, measured in turns\n", options.via,
                 rate / plain_rate, plain_rate);
    fmt::print("peak memory {:.0f} MB of {:.0f} MB\n", last.peak_mb, budget);
    fmt::print(
        "limits: disk {:.0f} MB/s, reading and matching {:.0f} events a CPU second, HTTP alone {:.0f} events/s\n",
        *disk, *matched, static_cast<double>(http.accepted) / http.seconds);
  }
  if (!whole)
    fmt::print(stderr, "offered is not accepted + refused, or some requests had no proper answer ({} others)\n",
               full.other + over.other);
  if (counted != told) fmt::print(stderr, "the node counts {} records, its clients {}\n", counted, told);
  if (!bounded) fmt::print(stderr, "the node's memory was above its budget\n");
  return whole && bounded ? kDone : kFailed;
}

}  // namespace bavn::app
