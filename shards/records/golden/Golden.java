// Writes the golden batches beside it with the Java client (kafka-clients 4.1.0): java Golden write DIR.
// `java Golden read FILE...` prints what the Java client makes of a batch, to check our writers against it.
import java.nio.ByteBuffer; import java.nio.file.*; import java.util.*;
import org.apache.kafka.common.record.*; import org.apache.kafka.common.compress.*; import org.apache.kafka.common.header.*; import org.apache.kafka.common.header.internals.*;
public class Golden {
  static Compression comp(String n){ return switch(n){ case "none"->Compression.NONE; case "gzip"->Compression.gzip().build(); case "snappy"->Compression.snappy().build(); case "lz4"->Compression.lz4().build(); default->Compression.zstd().build(); }; }
  static byte[] batch(String codec, boolean big){
    ByteBuffer b=ByteBuffer.allocate(1<<20);
    MemoryRecordsBuilder m=new MemoryRecordsBuilder(b,(byte)2,comp(codec),TimestampType.CREATE_TIME,0L,-1L,4711L,(short)3,17,false,false,-1,1<<20);
    if(big){ for(int i=0;i<2000;i++) m.append(1700000000000L+i, ("key-"+(i%7)).getBytes(), ("value "+(i%10)+" of a record that repeats itself, repeats itself").getBytes()); }
    else {
      m.append(1700000000000L,"k0".getBytes(),"first value".getBytes());
      m.append(1700000000250L,null,"no key".getBytes(), new Header[]{new RecordHeader("h1","x".getBytes()), new RecordHeader("h2",null)});
      m.append(1700000000100L,"k2".getBytes(),null);
    }
    m.close(); ByteBuffer out=m.build().buffer(); byte[] r=new byte[out.remaining()]; out.get(r); return r; }
  public static void main(String[] a) throws Exception {
    if(a[0].equals("write")){
      for(String c: List.of("none","gzip","snappy","lz4","zstd")){ Files.write(Path.of(a[1],c+".batch"),batch(c,false)); if(!c.equals("none")) Files.write(Path.of(a[1],c+"_2000.batch"),batch(c,true)); }
      for(boolean commit: new boolean[]{true,false}){
        MemoryRecords mr=MemoryRecords.withEndTransactionMarker(0L,1700000000000L,-1,4711L,(short)3,new EndTransactionMarker(commit?ControlRecordType.COMMIT:ControlRecordType.ABORT,9));
        ByteBuffer out=mr.buffer(); byte[] r=new byte[out.remaining()]; out.get(r); Files.write(Path.of(a[1],commit?"commit.batch":"abort.batch"),r); }
    } else {
      for(int i=1;i<a.length;i++){ MemoryRecords mr=MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(Path.of(a[i]))));
        for(MutableRecordBatch rb: mr.batches()){ rb.ensureValid(); int n=0; long h=0; for(org.apache.kafka.common.record.Record r: rb){ n++; h=h*31+r.timestamp()+r.offset(); h=h*31+(r.hasKey()?r.key().hashCode():7); h=h*31+(r.hasValue()?r.value().hashCode():7); for(Header x:r.headers()) h=h*31+x.key().hashCode()+Arrays.hashCode(x.value()); }
          System.out.println(a[i].replaceAll(".*/","")+" "+rb.compressionType()+" records "+n+" hash "+h+" base "+rb.baseOffset()+" next "+rb.nextOffset()+" lastseq "+rb.lastSequence()+" control "+rb.isControlBatch()+" tt "+rb.timestampType()+" max "+rb.maxTimestamp()); } }
    }
  }
}
