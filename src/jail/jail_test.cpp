#include "jail/jail.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/log.hpp"
#include "jail/archive.hpp"
#include "jail/pieces.hpp"
#include "jail/small_pdf.hpp"
#include "jail/worker.hpp"

namespace bavn::jail {

namespace {

/// Tasks that only this test program's worker knows.
enum Misdeed : std::uint8_t {
  open_file = 200,
  open_socket,
  new_program,
  executable_memory,
  hang,
  eat_memory,
  crash,
  lie,
  pid,
  echo
};

constexpr Task task(Misdeed m) {
  return static_cast<Task>(m);
}

Result<std::string> misbehave(Task t, std::string_view input) {
  switch (static_cast<Misdeed>(t)) {
    case open_file: return std::to_string(::open("/etc/passwd", O_RDONLY));
    case open_socket: return std::to_string(::socket(AF_INET, SOCK_STREAM, 0));
    case new_program: return std::to_string(::execl("/bin/true", "true", nullptr));
    case executable_memory:
      return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                 ? "no"
                 : "yes";
    case hang:
      for (;;) asm volatile("");
    case eat_memory: {
      std::vector<std::string> eaten;
      for (;;) eaten.emplace_back(16U << 20, 'x');
    }
    case crash: *static_cast<volatile int*>(nullptr) = 1; return "alive";
    case lie: {
      const FrameHead head{.code = 0, .size = UINT64_MAX};
      (void)!::write(STDOUT_FILENO, &head, sizeof head);
      return "";
    }
    case pid: return std::to_string(::getpid());
    case echo: return std::string(input);
  }
  return read_item(t, input);
}

struct Quiet {
  log::Capture capture;
  Metrics metrics;
};

}  // namespace

#ifndef BAVN_SANITIZED

TEST(Jail, ReadsEventsAndArchivesBehindTheFilter) {
  Quiet q;
  Jail jail(q.metrics);
  const auto events = jail.run(Task::xml_events, "<Event><System><EventID>1</EventID></System></Event>");
  ASSERT_TRUE(events) << events.error().what;
  EXPECT_EQ(*events, "{\"Event\":{\"System\":{\"EventID\":1}}}\n");
  for (auto filter : {archive_write_add_filter_gzip, archive_write_add_filter_xz, archive_write_add_filter_zstd,
                      archive_write_add_filter_bzip2})
    for (auto format : {archive_write_set_format_pax_restricted, archive_write_set_format_zip,
                        archive_write_set_format_7zip, archive_write_set_format_gnutar}) {
      std::string packed(1U << 20, '\0');
      std::size_t used = 0;
      archive* a = archive_write_new();
      format(a);
      if (format == archive_write_set_format_pax_restricted || format == archive_write_set_format_gnutar) filter(a);
      archive_write_open_memory(a, packed.data(), packed.size(), &used);
      archive_entry* e = archive_entry_new();
      archive_entry_set_pathname_utf8(e,
                                      "k\xC3\xB8"
                                      "benhavn/\xE2\x82\xAC.log");
      archive_entry_set_size(e, 5);
      archive_entry_set_filetype(e, AE_IFREG);
      archive_write_header(a, e);
      archive_write_data(a, "12345", 5);
      archive_entry_free(e);
      archive_write_close(a);
      archive_write_free(a);
      packed.resize(used);
      const auto flat = jail.run(Task::archive_extract, packed);
      ASSERT_TRUE(flat) << flat.error().what;
      EXPECT_EQ(members_of(*flat).value().at(0).content, "12345");
    }
  EXPECT_EQ(q.metrics.counter("jail_worker_died").value(), 0U) << q.capture.lines();
}

TEST(Jail, AForbiddenCallEndsTheWorkerWithSigsys) {
  for (Misdeed m : {open_socket, new_program, executable_memory}) {
    Quiet q;
    Jail jail(q.metrics);
    const auto got = jail.run(task(m), "x");
    ASSERT_FALSE(got) << int{m} << " was allowed: " << *got;
    EXPECT_EQ(got.error().code, Code::corrupt);
    EXPECT_NE(got.error().what.find("SIGSYS"), std::string::npos) << int{m} << got.error().what;
  }
}

TEST(Jail, OpeningAFileFindsNone) {
  Quiet q;
  Jail jail(q.metrics);
  EXPECT_EQ(jail.run(task(open_file), "x").value(), "-1");
  EXPECT_EQ(q.metrics.counter("jail_worker_died").value(), 0U)
      << "libraries ask for fonts and charsets, and do without";
}

TEST(Jail, ReadsDocumentsBehindTheFilterWhateverTheyAskFor) {
  Quiet q;
  Jail jail(q.metrics);
  const auto pdf = jail.run(Task::pdf_text, small_pdf({"evil[.]example", "two"}));
  ASSERT_TRUE(pdf) << pdf.error().what;
  EXPECT_EQ(pieces_of(*pdf).value().at(1).number, 2U);
  // Fonts that lie in files elsewhere: a character collection, a substitute, one that is broken inside.
  for (const char* font :
       {"<</Type/Font/Subtype/Type0/BaseFont/SimSun/Encoding/UniGB-UCS2-H/DescendantFonts[<</Type/Font/Subtype/"
        "CIDFontType0/BaseFont/SimSun/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 2>>>>]>>",
        "<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/90ms-RKSJ-H/DescendantFonts[<</Type/Font/Subtype/CIDFontType2/"
        "BaseFont/X/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>>>]>>",
        "<</Type/Font/Subtype/TrueType/BaseFont/NoSuchFont/Encoding/MacRomanEncoding>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Y/FontDescriptor<</Type/FontDescriptor/FontName/Y/FontFile 1 0 R>>>>"}) {
    const auto got = jail.run(Task::pdf_text, small_pdf({"some words"}, {}, {}, font));
    if (!got) {
      EXPECT_EQ(got.error().code, Code::bad_input) << font << ": " << got.error().what;
    }
  }
  for (const char* charset :
       {"koi8-r", "iso-2022-cn", "ebcdic-cp-dk", "x-nobody-knows", "utf-7", "../../../etc/passwd"}) {
    const auto got = jail.run(Task::mail_text, "Subject: =?" + std::string(charset) +
                                                   "?Q?=C1?=\r\nFrom: a@b.example\r\nDate: Mon, 2 "
                                                   "Mar 2026 10:00:00 +0100\r\nContent-Type: text/plain; charset=" +
                                                   charset + "\r\n\r\nevil.example \xC1");
    ASSERT_TRUE(got) << charset << ": " << got.error().what;
    EXPECT_EQ(pieces_of(*got).value().back().text.substr(0, 12), "evil.example") << charset;
  }
  EXPECT_EQ(q.metrics.counter("jail_worker_died").value(), 0U) << q.capture.lines();
}

TEST(Jail, ABombOfAPdfIsStoppedAndTheNextIsRead) {
  Quiet q;
  Jail jail(q.metrics, {.deadline = std::chrono::milliseconds(500)});
  const auto got = jail.run(Task::pdf_text, bomb_pdf());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::corrupt) << got.error().what;
  EXPECT_TRUE(jail.run(Task::pdf_text, small_pdf({"next"})));
}

TEST(Jail, TheHostileMailsOfTheCorpusEndNoWorker) {
  const char* corpora = std::getenv("BAVN_CORPORA");
  if (corpora == nullptr) GTEST_SKIP() << "BAVN_CORPORA is not set";
  Quiet q;
  Jail jail(q.metrics, {.deadline = std::chrono::seconds(20)});
  std::size_t all = 0, bytes_read = 0;
  const auto began = std::chrono::steady_clock::now();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(std::filesystem::path(corpora) / "mail")) {
    if (!entry.is_regular_file() || entry.file_size() > (8U << 20U)) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    const auto got = jail.run(entry.path().extension() == ".pdf" ? Task::pdf_text : Task::mail_text, bytes);
    if (!got) {
      EXPECT_EQ(got.error().code, Code::bad_input) << entry.path() << ": " << got.error().what;
    }
    ++all;
    bytes_read += bytes.size();
  }
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%zu files, %.1f MB through the jail in %.2f s\n", all, static_cast<double>(bytes_read) / 1e6, took);
  EXPECT_EQ(q.metrics.counter("jail_worker_died").value(), 0U) << q.capture.lines();
}

TEST(Jail, AHangIsCutAtTheDeadline) {
  Quiet q;
  Jail jail(q.metrics, {.deadline = std::chrono::milliseconds(200)});
  const auto start = std::chrono::steady_clock::now();
  const auto got = jail.run(task(hang), "x");
  const auto took = std::chrono::steady_clock::now() - start;
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().what.find("deadline"), std::string::npos) << got.error().what;
  EXPECT_GE(took, std::chrono::milliseconds(400)) << "two attempts";
  EXPECT_LT(took, std::chrono::seconds(5));
}

TEST(Jail, MemoryEndsAt512MegabytesAndTheWorkerLivesOn) {
  Quiet q;
  Jail jail(q.metrics);
  const auto got = jail.run(task(eat_memory), "x");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::bad_input);
  EXPECT_NE(got.error().what.find("512 MB"), std::string::npos);
  EXPECT_TRUE(jail.run(task(echo), "still here"));
  EXPECT_EQ(q.metrics.counter("jail_worker_died").value(), 0U);
}

TEST(Jail, ALyingWorkerIsNotBelieved) {
  Quiet q;
  Jail jail(q.metrics);
  EXPECT_EQ(jail.run(task(lie), "x").error().code, Code::corrupt);
}

#endif  // the filter and the limits are off under sanitizers

TEST(Jail, AnItemThatKillsTwiceIsPoisonAndOthersGoOn) {
  Quiet q;
  Jail jail(q.metrics);
  EXPECT_EQ(jail.run(task(crash), "evil").error().code, Code::corrupt);
  EXPECT_EQ(q.metrics.counter("jail_worker_died").value(), 2U);
  EXPECT_EQ(jail.run(task(crash), "evil").error().code, Code::corrupt);
  EXPECT_EQ(q.metrics.counter("jail_worker_died").value(), 2U) << "held, not tried a third time";
  EXPECT_EQ(q.metrics.counter("jail_item_poison").value(), 1U);
  EXPECT_EQ(jail.run(task(echo), "evil").value(), "evil") << "another task with the same bytes is another item";
}

TEST(Jail, WorkersAreRecycled) {
  Quiet q;
  Jail jail(q.metrics, {.workers = 1, .items_per_worker = 3});
#ifdef BAVN_SANITIZED
  const Task who = task(pid);
  std::vector<std::string> pids;
  for (int i = 0; i < 6; ++i) pids.push_back(jail.run(who, "x").value());
  EXPECT_EQ(pids[0], pids[2]);
  EXPECT_NE(pids[2], pids[3]);
#else
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(jail.run(task(echo), "x"));
#endif
  EXPECT_EQ(q.metrics.counter("jail_worker_recycled").value(), 2U);
}

TEST(Jail, ManyThreadsShareTwoWorkersAndGetTheirOwnAnswers) {
  Quiet q;
  Jail jail(q.metrics, {.items_per_worker = 50});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        const std::string item(static_cast<std::size_t>(1 + i * 1000), static_cast<char>('a' + t));
        const auto got = jail.run(task(echo), item);
        if (!got || *got != item) ++wrong;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Jail, AnItemOfTheLargestSizeArrivesWholeAndALargerOneIsRefused) {
  Quiet q;
  Jail jail(q.metrics, {.deadline = std::chrono::seconds(20)});
  const std::string largest(kMaxInput, 'x');
  EXPECT_EQ(jail.run(task(echo), largest).value().size(), kMaxInput);
  EXPECT_EQ(jail.run(task(echo), largest + "x").error().code, Code::bad_input);
}

TEST(Jail, AProgramThatCannotBeStartedIsAnError) {
  Quiet q;
  Jail jail(q.metrics, {.program = "/nowhere/bavn"});
  EXPECT_EQ(jail.run(Task::xml_events, "x").error().code, Code::unavailable);
}

TEST(JailBench, EventsASecond) {
  std::string event =
      "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider "
      "Name='Microsoft-Windows-Sysmon'/><EventID>1</EventID><Channel>Microsoft-Windows-Sysmon/Operational</Channel></"
      "System><EventData>";
  for (int i = 0; i < 16; ++i)
    event += "<Data Name='Field" + std::to_string(i) + "'>C:\\Windows\\System32\\svchost.exe -k netsvcs</Data>";
  event += "</EventData></Event>\n";
  std::string many;
  while (many.size() < (16U << 20)) many += event;
  Quiet q;
  Jail jail(q.metrics, {.deadline = std::chrono::seconds(60)});
  (void)jail.run(Task::xml_events, event);  // the worker is up
  const auto start = std::chrono::steady_clock::now();
  const auto got = jail.run(Task::xml_events, many);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ASSERT_TRUE(got) << got.error().what;
  EXPECT_EQ(std::count(got->begin(), got->end(), '\n'), static_cast<std::ptrdiff_t>(many.size() / event.size()));
  const double speed = static_cast<double>(many.size()) / 1e6 / seconds;
  RecordProperty("megabytes_per_second", std::to_string(speed));
  std::printf("xml_events through the jail: %.0f MB/s\n", speed);
}

}  // namespace bavn::jail

/// The test program is its own worker, as the product is.
int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "parse-worker") return bavn::jail::worker_main(bavn::jail::misbehave);
  std::setlocale(LC_ALL, "C.UTF-8");  // libarchive's writer converts names by it
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
