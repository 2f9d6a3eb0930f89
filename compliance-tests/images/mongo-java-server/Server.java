import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import de.bwaldvogel.mongo.backend.memory.index.MemoryUniqueIndex;
import de.bwaldvogel.mongo.bson.Document;
import java.util.List;

/**
 * A server in memory. It says of itself what the drivers of today ask for at least.
 *
 * It does one command after the other: on several threads it sends a document field by field while another of them
 * changes it, and what MongoDB always shows whole would be seen in part.
 */
class Server {
    private record Version(List<Integer> getVersionArray, int getWireVersion) implements MongoVersion {}

    /** Finds documents by their ids also where a query asks for more than that, instead of looking at all of them. */
    private static class KeyIndex extends MemoryUniqueIndex {
        KeyIndex(String name, List<IndexKey> keys, boolean sparse) {
            super(name, keys, sparse);
        }

        private Document part(Document query) {
            return keys().equals(List.of("_id")) && query.containsKey("_id")
                    ? new Document("_id", query.get("_id"))
                    : query;
        }

        @Override
        public synchronized boolean canHandle(Document query) {
            return super.canHandle(part(query));
        }

        @Override
        public synchronized Iterable<Integer> getPositions(Document query) {
            return super.getPositions(part(query));
        }
    }

    private static class Database extends MemoryDatabase {
        Database(String name, CursorRegistry cursors) {
            super(name, cursors);
        }

        @Override
        protected Index<Integer> openOrCreateUniqueIndex(
                String collection, String name, List<IndexKey> keys, boolean sparse) {
            return new KeyIndex(name, keys, sparse);
        }
    }

    private static class Backend extends MemoryBackend {
        @Override
        public MemoryDatabase openOrCreateDatabase(String name) {
            return new Database(name, getCursorRegistry());
        }
    }

    public static void main(String[] arguments) {
        System.setProperty("io.netty.eventLoopThreads", "1");
        var backend = new Backend().version(new Version(List.of(5, 0, 0), 13));
        var server = new MongoServer(backend);
        server.bind("0.0.0.0", 27017);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
    }
}
