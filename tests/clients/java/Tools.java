import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main methods of Apache Kafka's tools one after the other in one JVM, because starting a JVM takes longer
 * than most tools do. The tools are unmodified; only what they do to end the process is caught.
 *
 * One request is a line of words in base64: seconds it may take, class, standard input, arguments.
 * Its answer is a line of three words: exit code, standard output, standard error; 124 means that time ran out.
 */
public class Tools {
    private static final int TIMED_OUT = 124;
    private static final Base64.Decoder DECODER = Base64.getDecoder();
    private static final Base64.Encoder ENCODER = Base64.getEncoder();

    /** The code of the running tool's first exit: some tools catch what it throws, and exit again. */
    private static volatile Integer exitCode;

    private static class Ended extends Error {
        Ended(int code) {
            super("exit " + code, null, false, false);
            if (exitCode == null) {
                exitCode = code;
            }
        }
    }

    public static void main(String[] ignored) throws Exception {
        PrintStream answers = System.out;
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        Exit.setExitProcedure((code, message) -> {
            if (message != null) {
                System.err.println(message);
            }
            throw new Ended(code);
        });
        Exit.setHaltProcedure((code, message) -> {
            throw new Ended(code);
        });
        String line;
        while ((line = requests.readLine()) != null) {
            List<String> words = new ArrayList<>();
            for (String word : line.split(" ", -1)) {
                words.add(new String(DECODER.decode(word), StandardCharsets.UTF_8));
            }
            String[] arguments = words.subList(3, words.size()).toArray(new String[0]);
            answers.println(run(Long.parseLong(words.get(0)), words.get(1), words.get(2), arguments));
            answers.flush();
        }
    }

    private static String run(long seconds, String tool, String input, String[] arguments) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        List<Runnable> hooks = new ArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        exitCode = null;
        Thread thread = new Thread(() -> call(tool, arguments), "tool");
        thread.start();
        thread.join(seconds * 1000);
        if (thread.isAlive()) {
            exitCode = TIMED_OUT;
            for (StackTraceElement at : thread.getStackTrace()) {
                System.err.println("  still at " + at);
            }
        }
        Thread ending = new Thread(() -> hooks.forEach(Runnable::run), "hooks");
        ending.start();
        ending.join(5_000);
        thread.interrupt();
        return (exitCode == null ? 0 : exitCode) + " " + ENCODER.encodeToString(out.toByteArray()) + " " + ENCODER.encodeToString(err.toByteArray());
    }

    private static void call(String tool, String[] arguments) {
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException thrown) {
            if (exitCode == null) {
                thrown.getCause().printStackTrace();
                exitCode = 1;
            }
        } catch (ReflectiveOperationException missing) {
            missing.printStackTrace();
            exitCode = 1;
        }
    }
}
